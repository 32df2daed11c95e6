"""A case's files: downloaded once through pip, and listed in a static index.

The index lists every wheel of the locked releases, so that a tool has to choose as it would on a real
index; only the files that pip chose for the case's interpreter are there to fetch.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import programs
import repository
from cases import Case
from distributions import normalised
from index import file_entry, html_page, json_page, write_metadata
from lockfile import requirements

# What PEP 517 asks for where a project says nothing; older setuptools wants wheel as well.
LEGACY = ["setuptools", "wheel"]


def requirement_files(case: Case, without: frozenset[str] = frozenset()) -> list[Path]:
    """Each category as pip's requirements, as two categories may hold two versions of a package."""
    paths = []
    for number, entries in enumerate(case.categories):
        path = case.work / f"requirements-{number}.txt"
        wanted = {name: entry for name, entry in entries.items() if normalised(name) not in without}
        path.write_text(requirements({"default": wanted}))
        paths.append(path)
    return paths


def build_requires(sdist: Path) -> list[str]:
    """[build-system].requires of a source distribution."""
    suffix = "/pyproject.toml"
    if sdist.suffix == ".zip":
        with zipfile.ZipFile(sdist) as archive:
            found = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith(suffix)]
            data = archive.read(found[0]) if found else b""
    else:
        with tarfile.open(sdist) as archive:
            found = [name for name in archive.getnames() if name.count("/") == 1 and name.endswith(suffix)]
            data = archive.extractfile(found[0]).read() if found else b""
    system = tomllib.loads(data.decode()).get("build-system", {})
    return system.get("requires", []) + LEGACY


def sdists(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.suffix != ".whl")


def download(case: Case, python: str) -> Path:
    """The directory of the case's files; pip checks them against the lock's hashes."""
    directory, finished = case.work / "files", case.work / "downloaded"
    wanted = hashlib.sha256((case.project / "Pipfile.lock").read_bytes()).hexdigest()
    if finished.exists() and finished.read_text() == wanted:
        return directory
    case.work.mkdir(parents=True, exist_ok=True)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--dest", str(directory)]
    for path in requirement_files(case):
        print(f"{case.name}: downloading", flush=True)
        subprocess.run([*pip, "--no-deps", "--require-hashes", "--requirement", str(path)], check=True)
    for sdist in sdists(directory):
        print(f"{case.name}: downloading what builds {sdist.name}", flush=True)
        subprocess.run([*pip, "--prefer-binary", *build_requires(sdist)], check=True)
    finished.write_text(wanted)
    return directory


def releases(case: Case, python: str) -> dict[str, dict[str, str]]:
    """Package -> hash -> file name, for all wheels of the locked releases, as uv finds them."""
    found: dict[str, dict[str, str]] = {}
    # uv refuses to look at a release that has nothing but one of these.
    unread = frozenset(project_of(path) for path in sdists(case.work / "files") if path.suffix == ".bz2")
    for path in requirement_files(case, unread):
        pylock = path.with_name(f"pylock.{path.stem}.toml")
        if not pylock.exists():
            command = [*programs.uv(), "pip", "compile", "--quiet", "--no-deps", "--format", "pylock.toml"]
            command += ["--python", python, "--output-file", str(pylock), str(path)]
            subprocess.run(command, check=True)
        for package in tomllib.loads(pylock.read_text()).get("packages", []):
            files = found.setdefault(normalised(package["name"]), {})
            # Two sdists of a release (.zip and .tar.gz) are the same to build: pip's choice is the only one.
            for file in package.get("wheels", []):
                name = unquote(urlsplit(file["url"]).path.rsplit("/", 1)[1])
                files[f"sha256:{file['hashes']['sha256']}"] = name
    return found


def project_of(file: Path) -> str:
    """The package a file is of: a name in a wheel's has no hyphen, a version in an sdist's has none."""
    if file.suffix == ".whl":
        return normalised(file.name.split("-", 1)[0])
    return normalised(file.name.rsplit("-", 1)[0])


def write_index(case: Case, python: str) -> Path:
    """Lays out `simple` and `files` anew from what was downloaded and what uv lists."""
    root = case.work / "index"
    shutil.rmtree(root, ignore_errors=True)
    (root / "files").mkdir(parents=True)
    if case.repository:
        repository.make(case.repository, root / "repository.git")
    listed = releases(case, python)
    sizes, metadata = {}, {}
    for path in sorted((case.work / "files").iterdir()):
        os.link(path, root / "files" / path.name)
        digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        listed.setdefault(project_of(path), {})[digest] = path.name
        sizes[path.name] = path.stat().st_size
        if path.suffix == ".whl":
            metadata[path.name] = write_metadata(path, root / "files" / f"{path.name}.metadata")
    for name, files in listed.items():
        entries = [file_entry(file, digest, sizes, metadata) for digest, file in sorted(files.items())]
        page = root / "simple" / name
        page.mkdir(parents=True)
        (page / "index.html").write_text(html_page(name, entries))
        (page / "index.json").write_text(json_page(name, entries))
    return root

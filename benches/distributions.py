"""What is installed in an environment, to be sure that every tool did the same work."""

import re
import sys
from pathlib import Path

# pipenv and venv put these in by themselves.
SEEDS = {"pip", "setuptools", "wheel"}


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(venv: Path) -> dict[str, str]:
    """Distribution -> version, from the .dist-info directories."""
    found = {}
    for directory in venv.glob("lib/python*/site-packages/*.dist-info"):
        name, version = directory.name.removesuffix(".dist-info").split("-", 1)
        found[normalised(name)] = version
    return found


def check(venv: Path, lock: dict, tool: str) -> None:
    """Ends the benchmark when an environment is not what the lock says."""
    expected = {name: entry["version"].removeprefix("==") for name, entry in lock["default"].items()}
    got = installed(venv)
    wrong = {name: got.get(name) for name, version in expected.items() if got.get(name) != version}
    extra = got.keys() - expected.keys() - SEEDS
    if wrong or extra:
        sys.exit(f"{tool} made {venv} otherwise than locked: {wrong}; not in the lock: {sorted(extra)}")


def extent(tree: Path) -> tuple[int, int]:
    """Files and bytes of a tree."""
    sizes = [path.lstat().st_size for path in tree.rglob("*") if path.is_file() or path.is_symlink()]
    return len(sizes), sum(sizes)

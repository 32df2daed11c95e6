"""Small projects, one for each build backend, and the wheels that their builds need."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from workspace import BENCH, PEERS, WHEELS

NAME = "edited"
MODULES = 20

PROJECT = f"""\
[project]
name = "{NAME}"
version = "1.0"
description = "A project that is edited"
requires-python = ">=3.8"
"""

# Of each backend: its requirement, its module, and what it wants besides `[project]`.
ALL = {
    "setuptools": (["setuptools"], "setuptools.build_meta", f'[tool.setuptools]\npackages = ["{NAME}"]\n'),
    "hatchling": (["hatchling"], "hatchling.build", ""),
    "poetry-core": (["poetry-core"], "poetry.core.masonry.api", ""),
    "flit-core": (["flit_core"], "flit_core.buildapi", ""),
    "maturin": (["maturin"], "maturin", '[tool.maturin]\nbindings = "bin"\npython-source = "."\n'),
}


def requires(backend: str) -> list[str]:
    return ALL[backend][0]


def hook(backend: str) -> str:
    return ALL[backend][1]


def write(backend: str, project: Path) -> None:
    """Writes a package of some modules, and a pyproject.toml for the backend."""
    requirements, module, more = ALL[backend]
    system = f'[build-system]\nrequires = {requirements!r}\nbuild-backend = "{module}"\n'.replace("'", '"')
    (project / "pyproject.toml").write_text(f"{system}\n{PROJECT}\n{more}")
    package = project / NAME
    package.mkdir()
    (package / "__init__.py").write_text("EDIT = 0\n")
    for number in range(MODULES):
        (package / f"module{number}.py").write_text(f'"""One of some."""\n\nNUMBER = {number}\n' * 20)
    if backend == "maturin":
        (project / "src").mkdir()
        (project / "src" / "main.rs").write_text('fn main() { println!("edited"); }\n')
        (project / "Cargo.toml").write_text(f'[package]\nname = "{NAME}"\nversion = "1.0.0"\nedition = "2021"\n')
        lock = f'version = 3\n\n[[package]]\nname = "{NAME}"\nversion = "1.0.0"\n'
        (project / "Cargo.lock").write_text(lock)


def edit(project: Path, number: int) -> None:
    """Edits one line of the package, as it never was before: builds may be kept by what they were made from."""
    (project / NAME / "__init__.py").write_text(f"EDIT = {number}\n")


def edits(project: Path) -> int:
    """The number of the last edit."""
    return int(re.search(r"\d+", (project / NAME / "__init__.py").read_text())[0])


def cargo_dir() -> str:
    """Where cargo is, which maturin calls; what runs without it fails and says so."""
    found = shutil.which("cargo") or Path.home() / ".cargo" / "bin" / "cargo"
    return str(Path(found).parent)


def compilers() -> dict[str, str]:
    """Where the caller's Rust keeps what it is, as each tool gets a home directory of its own."""
    homes = {"CARGO_HOME": ".cargo", "RUSTUP_HOME": ".rustup"}
    return {name: os.environ.get(name, str(Path.home() / place)) for name, place in homes.items()}


def download(names: list[str], interpreter: str) -> dict[str, dict[str, str]]:
    """Fetches what builds need: name -> hash -> file name, as of a set."""
    place = BENCH / "backends"
    place.mkdir(parents=True, exist_ok=True)
    WHEELS.mkdir(parents=True, exist_ok=True)
    wanted = sorted({requirement for name in names for requirement in requires(name)})
    marker = place / "wanted.txt"
    if not marker.exists() or marker.read_text().split() != wanted:
        command = [str(PEERS / "bin" / "pip"), "--python", interpreter, "download", "--quiet"]
        subprocess.run([*command, "--only-binary", ":all:", "--dest", str(place), *wanted], check=True)
        marker.write_text("\n".join(wanted))
    found: dict[str, dict[str, str]] = {}
    for wheel in place.glob("*.whl"):
        link = WHEELS / wheel.name
        if not link.exists():
            link.hardlink_to(wheel)
        name = re.sub(r"[-_.]+", "-", wheel.name.split("-")[0]).lower()
        found.setdefault(name, {})[f"sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"] = wheel.name
    return found

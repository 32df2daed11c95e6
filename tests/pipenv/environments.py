"""What an environment holds, and in what two of them differ."""

import ast
import configparser
import csv
import hashlib
import re
from dataclasses import dataclass, field
from email import message_from_bytes
from fnmatch import fnmatch
from pathlib import Path

from distributions import normalised

# Of the environment itself, not of a distribution, and the launchers that pip adds to those that its own
# wheel and setuptools ask for. Patterns match whole paths.
OWN = [
    "pyvenv.cfg",
    ".gitignore",
    ".lock",
    ".project",
    "CACHEDIR.TAG",
    "venvoy.manifest",
    "bin/activate",
    "bin/activate.*",
    "bin/activate_this.py",
    "bin/Activate.ps1",
    "bin/deactivate.*",
    "bin/easy_install-3.*",
    "bin/pip-3.*",
    "bin/pip3.*",
    "bin/pydoc.*",
    "bin/python",
    "bin/python[23]*",
    "lib/python*/site-packages/_virtualenv.*",
    "src/*/.git/*",
    # What setuptools leaves in a working tree when pip has it build there.
    "src/*.egg-info/*",
    "src/pip-delete-this-directory.txt",
]
# An installer's own records; and one that pbr writes only where pip did not ask for the metadata first.
RECORDS = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "pbr.json"}
LAUNCHER = "the launcher of an entry point"
COMPILED = "compiled here"
# What venvoy has in place of a first line: a part for the shell that is a string to Python, with an
# encoding declaration before it where the script has one.
THROUGH_SHELL = re.compile(rb"\A#!/bin/sh\n((?:#[^\n]*\n)?)''':'\n.*?\n'''\n", re.DOTALL)


@dataclass
class Environment:
    """`files` has path -> a word for its content, with a mark for executable ones."""

    versions: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def without_first_line(data: bytes) -> bytes:
    if match := THROUGH_SHELL.match(data):
        return match.group(1) + data[match.end() :]
    return data.partition(b"\n")[2] if data.startswith(b"#!") else data


def meaning(script: bytes) -> bytes:
    """A Python script without its docstring, or the bytes of what is no Python.

    A script that finds its interpreter through the shell has another string before its docstring, which is
    assigned to `__doc__` therefore, after the imports that must come first. Nothing else may differ.
    """
    try:
        tree = ast.parse(script)
    except (SyntaxError, ValueError):
        return script
    kept = [
        node
        for node in tree.body
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        and not (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__doc__")
    ]
    return "\n".join(ast.dump(node) for node in kept).encode()


def entry_points(dist_info: Path) -> set[str]:
    """The launchers that a distribution asks for, as paths."""
    parser = configparser.ConfigParser(delimiters=("=",), strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(dist_info / "entry_points.txt", encoding="utf-8")
    sections = [section for section in ("console_scripts", "gui_scripts") if parser.has_section(section)]
    return {f"bin/{name}" for section in sections for name in parser.options(section)}


def recorded(venv: Path, dist_info: Path) -> set[str]:
    """The paths of a distribution's RECORD."""
    site = dist_info.parent
    with (dist_info / "RECORD").open(newline="", encoding="utf-8") as file:
        rows = [row[0] for row in csv.reader(file) if row]
    return {str((site / row).resolve().relative_to(venv.resolve())) for row in rows}


def is_own(path: str) -> bool:
    return any(fnmatch(path, pattern) for pattern in OWN)


def is_record(path: Path) -> bool:
    return path.name in RECORDS and path.parent.name.endswith(".dist-info")


def is_bytecode(path: Path) -> bool:
    return path.suffix == ".pyc"


def leads_to(pth: Path, project: Path) -> str:
    """Where the lines of a `.pth` file lead, seen from the project; other lines as they are."""
    places = []
    for line in pth.read_text().splitlines():
        place = (pth.parent / line).resolve()
        places.append(str(place.relative_to(project)) if place.is_relative_to(project) else line)
    return f"leads to {', '.join(places)}"


def content(path: Path, relative: str, launchers: set[str], compiled: set[str], project: Path) -> str:
    if relative in launchers:
        return LAUNCHER
    if relative in compiled and path.suffix == ".so":
        return COMPILED
    if path.name.startswith("__editable__") and path.suffix == ".pth":
        return leads_to(path, project)
    data = path.read_bytes()
    if relative.startswith("bin/"):
        data = meaning(without_first_line(data))
    return f"sha256 {hashlib.sha256(data).hexdigest()[:16]}"


def read(venv: Path, without: set[str], built: set[str]) -> Environment:
    """What is in `venv` but not of the distributions `without`; extension modules of `built` only by name."""
    environment = Environment()
    project = venv.parent.resolve()
    left_out: set[str] = set()
    launchers: set[str] = set()
    compiled: set[str] = set()
    for dist_info in sorted(venv.glob("lib/python*/site-packages/*.dist-info")):
        metadata = message_from_bytes((dist_info / "METADATA").read_bytes())
        name = normalised(metadata["Name"])
        if name in without:
            left_out |= recorded(venv, dist_info)
            continue
        environment.versions[name] = metadata["Version"]
        launchers |= entry_points(dist_info)
        if name in built:
            compiled |= recorded(venv, dist_info)
    for path in sorted(venv.rglob("*")):
        relative = path.relative_to(venv).as_posix()
        if path.is_dir() or relative in left_out or is_own(relative) or is_record(path) or is_bytecode(path):
            continue
        executable = " (executable)" if path.stat().st_mode & 0o100 else ""
        environment.files[relative] = content(path, relative, launchers, compiled, project) + executable
    return environment


def differences(ours: Environment, theirs: Environment) -> list[str]:
    """Each difference in a line of its own; `theirs` is pipenv's."""
    lines = []
    for kind, left, right in [
        ("distribution", ours.versions, theirs.versions),
        ("file", ours.files, theirs.files),
    ]:
        for name in sorted(left.keys() | right.keys()):
            if left.get(name) != right.get(name):
                ours_has, theirs_has = left.get(name, "has none"), right.get(name, "has none")
                lines.append(f"{kind} {name}: venvoy {ours_has}, pipenv {theirs_has}")
    return lines

#!/usr/bin/env python3
"""Reads what venvoy's readers were given, and says where others read something else.

    tests/fuzz/compare.py FILE

FILE has a JSON list a line: the reader, the bytes in hexadecimal digits, and what was read (null for a refusal). Each
reference says what it reads, or raises. Where the two may differ, and why, is written at each.
"""

from __future__ import annotations

import contextlib
import email
import hashlib
import io
import json
import logging
import netrc
import os
import re
import sys
import tempfile
import zipfile
from pathlib import Path

from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

logging.disable(logging.CRITICAL)

ENVIRONMENT = default_environment() | {
    "implementation_name": "cpython",
    "implementation_version": "3.11.7",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_release": "",
    "platform_system": "Linux",
    "platform_version": "",
    "python_full_version": "3.11.7",
    "python_version": "3.11",
    "sys_platform": "linux",
    "extra": "",
    "extras": set(),
    "dependency_groups": set(),
}


class Differs(Exception):
    """The two do not agree."""


def same(ours, theirs) -> None:
    if ours != theirs:
        raise Differs(f"they read {theirs!r}")


def refused(read) -> bool:
    """Whether a reference refuses."""
    try:
        read()
    except Exception:
        return True
    return False


def marker(data: bytes, ours) -> None:
    try:
        theirs = Marker(data.decode()).evaluate(ENVIRONMENT)
    except Exception as error:
        if ours is not None:
            raise Differs(f"they refuse: {error}") from None
        return
    same(ours, theirs)


def specifier(data: bytes, ours) -> None:
    if ours is None:
        return
    version, clause = data.decode().split("\n", 1)
    operator = re.match("[<>=!~]*", clause)[0]
    bound = clause[len(operator):]
    quote = '"' if "'" in bound else "'"
    env = ENVIRONMENT | {"python_full_version": str(Version(version))}
    try:
        theirs = Marker(f"python_full_version {operator} {quote}{bound}{quote}").evaluate(env)
    except Exception:
        # What can be evaluated by nobody may be refused when it is read.
        theirs = None
    same(ours["marker"], theirs)
    try:
        theirs = SpecifierSet(clause).contains(Version(version), prereleases=True)
    except Exception:
        # A lock's `version` may be written in ways that only pipenv knows, such as none at all.
        return
    same(ours["pin"], theirs)


def wheel_name(data: bytes, ours) -> None:
    text = data.decode()
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._+!]*[A-Za-z0-9])?-[A-Za-z0-9._+!-]+", text):
        # `packaging` takes tags of any characters, a slash among them, and names that begin or end in an underscore.
        return
    try:
        name, version, build, tags = parse_wheel_filename(text)
    except Exception:
        # venvoy takes older spellings, such as versions that are not in their normal form.
        return
    theirs = {
        "name": name,
        "version": str(version),
        "build": list(build) or None,
        "tags": sorted(map(str, tags)),
    }
    same(ours, theirs)


def requirement(data: bytes, ours) -> None:
    try:
        theirs = Requirement(data.decode())
        holds = theirs.marker is None or theirs.marker.evaluate(ENVIRONMENT)
    except Exception:
        # venvoy takes what old metadata has; nothing is chosen by it.
        return
    if ours is None:
        # `packaging` takes names that end in an underscore, which PEP 508 does not.
        if re.fullmatch(r".*[A-Za-z0-9]", theirs.name) and all(re.fullmatch(r".*[A-Za-z0-9]", extra) for extra in theirs.extras):
            raise Differs("they take it")
        return
    same(ours["name"], canonicalize_name(theirs.name))
    same(ours["extras"], sorted({canonicalize_name(extra) for extra in theirs.extras}))
    if theirs.url is None:
        same(SpecifierSet(ours["specifier"]), theirs.specifier)
    else:
        same(ours["specifier"], f"@ {theirs.url}")
    same(ours["holds"], holds)


def read_netrc(data: bytes, ours) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            theirs = {host: list(entry) for host, entry in netrc.netrc(file.name).hosts.items()}
        except (netrc.NetrcParseError, UnicodeDecodeError) as error:
            if ours is not None:
                raise Differs(f"they refuse: {error}") from None
            return
    same(ours, theirs)


def dotenv(data: bytes, ours) -> None:
    from pipenv.vendor.dotenv.main import DotEnv
    from pipenv.vendor.dotenv.parser import parse_stream

    text = data.decode()
    text = io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8").read()
    os.environ.clear()
    os.environ.update({"TOKEN": "hush-4711", "USER": "me", "EMPTY": ""})
    values = DotEnv(dotenv_path=None, stream=io.StringIO(text), override=True, interpolate=True).dict()
    same(dict(ours["variables"]), {name: value for name, value in values.items() if value is not None})
    same(len(ours["unreadable"]), sum(binding.error for binding in parse_stream(io.StringIO(text))))


def lock(data: bytes, ours) -> None:
    if ours is None:
        return
    theirs = json.loads(data.decode("utf-8-sig"))
    categories = {name: entries for name, entries in theirs.items() if name != "_meta"}
    same(sorted(name for name, _ in ours["entries"]), sorted(categories))
    for name, entries in ours["entries"]:
        same(sorted(entries), sorted(canonicalize_name(entry) for entry in categories[name]))


def wheel(data: bytes, ours) -> None:
    if ours is None:
        return
    archive = zipfile.ZipFile(io.BytesIO(data))
    theirs = {}
    for info in archive.infolist():
        if not info.is_dir() and not info.filename.endswith((".dist-info/RECORD", ".dist-info/RECORD.jws", ".dist-info/RECORD.p7s")):
            mode = info.external_attr >> 16
            executable = bool(mode and (mode & 0o170000 == 0o100000) and mode & 0o111)
            theirs[info.filename] = [hashlib.sha256(archive.read(info)).hexdigest(), executable]
    same({path: [digest, executable] for path, digest, executable in ours["files"]}, theirs)
    installed(data, ours)


def installed(data: bytes, ours) -> None:
    """What pip installs of a wheel that venvoy takes: every file where the wheel's layout says, none elsewhere."""
    from pip._internal.models.scheme import Scheme
    from pip._internal.operations.install import wheel as pip

    with tempfile.TemporaryDirectory() as scratch:
        top = Path(scratch).resolve()
        path = top / "demo-1.0-py3-none-any.whl"
        path.write_bytes(data)
        keys = ["platlib", "purelib", "headers", "scripts", "data"]
        scheme = Scheme(**{key: str(top / "in" / key) for key in keys})
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                pip.install_wheel("demo", str(path), scheme, "demo==1.0", pycompile=False, warn_script_location=False)
        except Exception:
            # pip refuses more than venvoy does, such as METADATA of a later kind.
            return
        beside = sorted(path.name for path in top.iterdir())
        same(["demo-1.0-py3-none-any.whl", "in"], beside)
        wheel_file = email.message_from_bytes(zipfile.ZipFile(io.BytesIO(data)).read("demo-1.0.dist-info/WHEEL"))
        root = "purelib" if wheel_file["Root-Is-Purelib"].lower() == "true" else "platlib"
        expected = set()
        for name, _, _ in ours["files"]:
            parts = name.split("/")
            if parts[0].endswith(".data"):
                expected.add("/".join([parts[1], *parts[2:]]))
            else:
                expected.add(f"{root}/{name}")
        for name, _, _, _ in ours["scripts"]:
            expected.add(f"scripts/{name}")
        there = {str(path.relative_to(top / "in")) for path in (top / "in").rglob("*") if not path.is_dir()}
        own = re.compile(r".*\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json)$")
        same(sorted(expected), sorted(name for name in there if not own.match(name)))


def entry_points(data: bytes, ours) -> None:
    if ours is None:
        return
    from importlib.metadata import EntryPoints

    from pip._vendor.distlib.util import get_export_entry

    if any(line.strip().startswith(";") for line in data.decode().splitlines()):
        # A comment as old tools wrote it. Python takes it for an entry, or fails at it, and pip with it.
        return
    theirs = {}
    try:
        points = list(EntryPoints._from_text(data.decode()))
    except TypeError:
        # Python fails at a line without an equals sign wherever it stands.
        return
    for group in ("console_scripts", "gui_scripts"):
        for point in points:
            if point.group == group:
                theirs[point.name] = point.value
    same(sorted(script[0] for script in ours), sorted(theirs))
    for name, module, function, _ in ours:
        try:
            entry = get_export_entry(f"{name} = {theirs[name]}")
        except Exception:
            entry = None
        # What pip refuses and venvoy takes has white space around the colon, or extras of other characters.
        if entry is not None and entry.suffix is not None:
            same([module, function], [entry.prefix, entry.suffix])


REFERENCES = {
    "marker": marker,
    "specifier": specifier,
    "wheel_name": wheel_name,
    "requirement": requirement,
    "netrc": read_netrc,
    "dotenv": dotenv,
    "lock": lock,
    "wheel": wheel,
    "entry_points": entry_points,
}


def main() -> None:
    compared: dict[str, list[int]] = {}
    differences = 0
    for line in Path(sys.argv[1]).read_text().splitlines():
        name, digits, ours = json.loads(line)
        data = bytes.fromhex(digits)
        counts = compared.setdefault(name, [0, 0])
        counts[0] += 1
        counts[1] += ours is not None
        try:
            data.decode()
        except UnicodeDecodeError:
            if name != "wheel":
                continue
        try:
            REFERENCES[name](data, ours)
        except Differs as difference:
            differences += 1
            print(f"{name}: {data[:600]!r}\n  venvoy reads {ours!r}\n  {difference}")
        except Exception as error:
            differences += 1
            print(f"{name}: {data[:600]!r}\n  venvoy reads {ours!r}\n  they fail: {type(error).__name__}: {error}")
    for name, (all_of_them, taken) in compared.items():
        print(f"{name}: {all_of_them} inputs, {taken} of them taken")
    sys.exit(bool(differences))


main()

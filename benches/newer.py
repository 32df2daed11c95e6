"""Newer releases of some packages of a set, so that something can be upgraded: the same wheel with another version."""

import base64
import hashlib
import re
import zipfile
from pathlib import Path

from wheels import local_wheel
from workspace import RUNS

# Versions that a `.post1` can follow.
PLAIN = re.compile(r"==[0-9.]+")


def digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def bump(wheel: Path, directory: Path) -> Path:
    """The wheel's `.post1`, made in a directory."""
    name, version, tags = re.fullmatch(r"([^-]+)-([^-]+)-(.+)", wheel.name).groups()
    old, new = f"{name}-{version}", f"{name}-{version}.post1"
    made = directory / f"{new}-{tags}"
    rows = []
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as target:
        entries = [entry for entry in source.infolist() if not entry.is_dir()]
        record = next(entry for entry in entries if entry.filename.endswith(".dist-info/RECORD"))
        inner = record.filename.removesuffix(".dist-info/RECORD")
        for entry in entries:
            data = source.read(entry)
            path = re.sub(rf"^{re.escape(inner)}(?=\.(dist-info|data)/)", inner.replace(version, f"{version}.post1"), entry.filename)
            if path.endswith(".dist-info/METADATA"):
                data = re.sub(rb"(?m)^(Version: .*?)\r?$", rb"\1.post1", data, count=1)
            if entry is record:
                place = path
                continue
            rows.append(f'"{path}",sha256={digest(data)},{len(data)}\n')
            target.writestr(zipfile.ZipInfo(path) if entry.external_attr == 0 else same(entry, path), data)
        target.writestr(same(record, place), "".join([*rows, f'"{place}",,\n']))
    assert old in wheel.name
    return made


def same(entry: zipfile.ZipInfo, path: str) -> zipfile.ZipInfo:
    """An entry of that path with the mode of another."""
    info = zipfile.ZipInfo(path, entry.date_time)
    info.external_attr, info.compress_type = entry.external_attr, zipfile.ZIP_DEFLATED
    return info


def choose(lock: dict, count: int) -> list[str]:
    """So many packages, spread over the lock."""
    names = sorted(name for name, entry in lock["default"].items() if PLAIN.fullmatch(entry["version"]))
    return names[:: max(1, len(names) // count)][:count]


def make(set_name: str, lock: dict, files: dict[str, dict[str, str]], count: int) -> dict[str, Path]:
    """Newer wheels of so many packages, by name."""
    directory = RUNS / "newer" / set_name
    directory.mkdir(parents=True)
    return {name: bump(local_wheel(files[name]), directory) for name in choose(lock, count)}


def upgraded(lock: dict, wheels: dict[str, Path], names: list[str]) -> dict:
    """The lock with these packages at their newer version."""
    default = dict(lock["default"])
    for name in names:
        value = f"sha256:{hashlib.sha256(wheels[name].read_bytes()).hexdigest()}"
        default[name] = {**default[name], "version": default[name]["version"] + ".post1", "hashes": [value]}
    return {**lock, "default": default}


def without(lock: dict, name: str) -> dict:
    """The lock without a package."""
    return {**lock, "default": {other: entry for other, entry in lock["default"].items() if other != name}}

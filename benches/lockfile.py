"""Pipfile and Pipfile.lock: reading a committed set and pointing it at another index."""

import hashlib
import json
import tomllib
from pathlib import Path

PLACEHOLDER = "https://index.example/simple"


def pipfile_hash(pipfile: dict) -> str:
    """The value pipenv keeps in `_meta.hash.sha256`: the lock is fresh when it matches."""
    data = {
        "_meta": {"sources": pipfile["source"], "requires": pipfile.get("requires", {})},
        "default": pipfile.get("packages", {}),
        "develop": pipfile.get("dev-packages", {}),
    }
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read_lock(directory: Path) -> dict:
    return json.loads((directory / "Pipfile.lock").read_text())


def write_lock(directory: Path, lock: dict) -> None:
    (directory / "Pipfile.lock").write_text(json.dumps(lock, indent=4, sort_keys=True) + "\n")


def write_project(source: Path, destination: Path, index_url: str) -> None:
    """Copies a set's Pipfile and Pipfile.lock, naming `index_url` and keeping the lock fresh."""
    destination.mkdir(parents=True)
    text = (source / "Pipfile").read_text().replace(PLACEHOLDER, index_url)
    (destination / "Pipfile").write_text(text)
    lock = read_lock(source)
    lock["_meta"]["sources"][0]["url"] = index_url
    lock["_meta"]["hash"]["sha256"] = pipfile_hash(tomllib.loads(text))
    write_lock(destination, lock)


def requirements(lock: dict) -> str:
    """The lock as pip's requirements, every hash with it."""
    lines = []
    for name, entry in sorted(lock["default"].items()):
        extras = f"[{','.join(entry['extras'])}]" if "extras" in entry else ""
        marker = f" ; {entry['markers']}" if entry.get("markers") else ""
        hashes = "".join(f" \\\n    --hash={value}" for value in entry["hashes"])
        lines.append(f"{name}{extras}{entry['version']}{marker}{hashes}\n")
    return "".join(lines)

"""Copies of `fixtures/deps-stage` whose lock names the indexes of the tests."""

from __future__ import annotations

import hashlib
import json
import shutil
import tomllib
from pathlib import Path

from images import REPOSITORY

FIXTURE = REPOSITORY / "fixtures" / "deps-stage"
PLACEHOLDER = "https://index.example/simple"


def pipfile_hash(text: str) -> str:
    """What pipenv writes as `_meta.hash`."""
    pipfile = tomllib.loads(text)
    data = {
        "_meta": {"sources": pipfile["source"], "requires": pipfile.get("requires", {})},
        "default": pipfile["packages"],
        "develop": pipfile["dev-packages"],
    }
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def write(
    destination: Path, url: str, files: dict[str, str], private: tuple[str, Path] | None = None, own: bool = True
) -> Path:
    """A project whose packages come from `url`, with further files.

    `private` is another source's URL and a wheel from there; without `own` the project does not install itself.
    """
    shutil.copytree(FIXTURE, destination, ignore=shutil.ignore_patterns(".venv", "__pycache__", "*.egg-info"))
    pipfile = (destination / "Pipfile").read_text().replace(PLACEHOLDER, url)
    lock = json.loads((destination / "Pipfile.lock").read_text().replace(PLACEHOLDER, url))
    if not own:
        pipfile = pipfile.replace('shop = {path = ".", editable = true}\n', "")
        del lock["default"]["shop"]
    if private is not None:
        private_url, wheel = private
        source = f'[[source]]\nname = "private"\nurl = "{private_url}"\nverify_ssl = true\n'
        entry = 'shop-prices = {version = "*", index = "private"}\n'
        pipfile = pipfile.replace("[packages]\n", f"{source}\n[packages]\n{entry}")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lock["_meta"]["sources"].append({"name": "private", "url": private_url, "verify_ssl": True})
        lock["default"]["shop-prices"] = {"hashes": [f"sha256:{digest}"], "index": "private", "version": "==2.0"}
    lock["_meta"]["hash"]["sha256"] = pipfile_hash(pipfile)
    (destination / "Pipfile").write_text(pipfile)
    (destination / "Pipfile.lock").write_text(json.dumps(lock, indent=4) + "\n")
    for name, text in files.items():
        (destination / name).write_text(text)
    return destination

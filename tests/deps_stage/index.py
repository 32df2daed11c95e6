"""The index of `fixtures/deps-stage`: its lock's files, downloaded once through pip, behind basic auth."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
sys.path.append(str(REPOSITORY / "tests" / "pipenv"))
import loopback  # noqa: E402

FIXTURE = REPOSITORY / "fixtures" / "deps-stage"
WORK = REPOSITORY / "target" / "deps-stage"
USER, PASSWORD = "deploy", "canary-s3cret"
# What builds a project that has nothing but a setup.py.
BUILD_REQUIRES = ["setuptools<81", "wheel"]


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements() -> str:
    """The lock's entries as pip's requirements; the project itself is left out."""
    lock = json.loads((FIXTURE / "Pipfile.lock").read_text())
    lines = []
    for category in ("default", "develop"):
        for name, entry in lock[category].items():
            if "version" not in entry:
                continue
            marker = f"; {entry['markers']}" if entry.get("markers") else ""
            hashes = "".join(f" --hash={digest}" for digest in entry["hashes"])
            lines.append(f"{name}{entry['version']}{marker}{hashes}")
    return "\n".join(sorted(set(lines))) + "\n"


def download(python: str) -> Path:
    """The directory of the lock's files for this interpreter; pip checks their hashes."""
    files, finished = WORK / "files", WORK / "downloaded"
    wanted = hashlib.sha256(requirements().encode()).hexdigest()
    if finished.exists() and finished.read_text() == wanted:
        return files
    WORK.mkdir(parents=True, exist_ok=True)
    listing = WORK / "requirements.txt"
    listing.write_text(requirements())
    pip = [python, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--dest", str(files)]
    subprocess.run([*pip, "--no-deps", "--require-hashes", "--requirement", str(listing)], check=True)
    subprocess.run([*pip, "--only-binary", ":all:", *BUILD_REQUIRES], check=True)
    finished.write_text(wanted)
    return files


class Handler(loopback.Handler):
    """`/simple/NAME/` and `/files/FILE`, for those who know the password."""

    def do_GET(self) -> None:
        token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {token}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="index"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path.startswith("/simple/"):
            self.page(self.path.strip("/").split("/")[-1])
        else:
            self.path = self.path.removeprefix("/files")
            super().do_GET()

    def page(self, name: str) -> None:
        found = [
            path
            for path in sorted(Path(self.directory).iterdir())
            if normalised(re.split(r"-(?=\d)", path.name)[0]) == name
        ]
        links = "".join(
            f'<a href="/files/{html.escape(path.name)}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}">'
            f"{html.escape(path.name)}</a>"
            for path in found
        )
        body = f"<!DOCTYPE html><title>Links for {html.escape(name)}</title>{links}".encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve(files: Path) -> AbstractContextManager[str]:
    """Serves the files on loopback until the block ends; gives the URL of the simple API."""
    return loopback.serve(files, Handler)


def write_project(destination: Path) -> None:
    """A copy of the fixture, and a netrc.

    The lock's hash covers the Pipfile's sources, so both stay as they are: `--index-url` names the index.
    """
    subprocess.run(["cp", "-R", str(FIXTURE), str(destination)], check=True)
    (destination / ".netrc").write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    (destination / ".netrc").chmod(0o600)


def find_python39() -> str | None:
    """A Python 3.9 on PATH or under pyenv."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = sorted(root.glob("versions/3.9.*/bin/python3.9"))
    return str(found[-1]) if found else shutil.which("python3.9")

"""What the faults are tried on: two locks of small packages, an index and a registry on the loopback, trees that can be compared."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import random
import socket
import stat
import threading
import zipfile
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PACKAGES = 12


@dataclass(frozen=True)
class Wheel:
    name: str
    version: str
    data: bytes

    @property
    def file(self) -> str:
        return f"{self.name}-{self.version}-py3-none-any.whl"

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def wheel(name: str, version: str, size: int) -> Wheel:
    """A wheel of modules and data; its bytes depend on its name and version alone."""
    noise = random.Random(f"{name} {version}")
    info = f"{name}-{version}.dist-info"
    files = {f"{name}/__init__.py": f"def main():\n    print('{name} {version}')\n".encode()}
    files |= {f"{name}/part{number}.py": f"value = {noise.random()}\n".encode() * 40 for number in range(6)}
    files |= {f"{name}/sub/deep/data{number}.bin": noise.randbytes(size) for number in range(3)}
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{name} = {name}:main\n".encode()
    rows = [f"{path},sha256={record_digest(data)},{len(data)}\n" for path, data in files.items()]
    files[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"]).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
    return Wheel(name, version, out.getvalue())


def record_digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def releases() -> tuple[list[Wheel], list[Wheel]]:
    """The wheels of the old lock and of the new one: half are other versions, one is gone, one came."""
    names = [f"package{number:02}" for number in range(PACKAGES)]
    size = {name: 200_000 if name.endswith("00") else 4_000 for name in names}
    old = [wheel(name, "1.0", size[name]) for name in names[:-1]]
    new = [wheel(name, "2.0" if number % 2 == 0 else "1.0", size[name]) for number, name in enumerate(names)]
    return old, [one for one in new if one.name != names[1]]


def lock(wheels: list[Wheel], url: str) -> str:
    entries = {one.name: {"hashes": [f"sha256:{one.digest}"], "version": f"=={one.version}"} for one in wheels}
    source = {"name": "loopback", "url": url, "verify_ssl": True}
    meta = {"hash": {"sha256": "0"}, "pipfile-spec": 6, "requires": {}, "sources": [source]}
    return json.dumps({"_meta": meta, "default": entries, "develop": {}}, indent=4)


class Index(ThreadingHTTPServer):
    """A simple index; `cut_after` bytes of bodies, or `gone_after` requests, it answers nobody any more."""

    daemon_threads = True

    def __init__(self, wheels: list[Wheel]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {f"/files/{one.file}": one.data for one in wheels}
        self.pages: dict[str, str] = {}
        for one in sorted(set(wheels), key=lambda one: one.file):
            link = f'<a href="/files/{one.file}#sha256={one.digest}">{one.file}</a>\n'
            self.pages[f"/simple/{one.name}/"] = self.pages.get(f"/simple/{one.name}/", "") + link
        self.url = f"http://127.0.0.1:{self.server_port}/simple"
        self.guard = threading.Lock()
        self.heal()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def heal(self) -> None:
        self.cut_after: int | None = None
        self.gone_after: int | None = None

    def allowance(self, wanted: int) -> int:
        """How many of so many bytes may still be sent."""
        with self.guard:
            if self.cut_after is None:
                return wanted
            given = min(wanted, self.cut_after)
            self.cut_after -= given
            return given

    def is_gone(self) -> bool:
        with self.guard:
            if self.gone_after is None:
                return False
            self.gone_after -= 1
            return self.gone_after < 0

    def handle_error(self, *_: object) -> None:
        """Clients that were killed are no news."""


class Handler(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        if self.server.is_gone():
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        page = self.server.pages.get(self.path)
        body = page.encode() if page is not None else self.server.files.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Type", "text/html" if page is not None else "application/octet-stream")
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        if body:
            given = self.server.allowance(len(body))
            self.wfile.write(body[:given])
            if given < len(body):
                self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class Registry(ThreadingHTTPServer):
    """A registry of images, as much of it as a push needs; what it holds outlives no test."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), RegistryHandler)
        self.address = f"127.0.0.1:{self.server_port}"
        self.guard = threading.Lock()
        self.blobs: dict[str, bytes] = {}
        self.tags: dict[str, bytes] = {}
        self.heal()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def heal(self) -> None:
        self.cut_after: int | None = None
        self.gone_after: int | None = None

    def holds(self, tag: str) -> dict[str, str] | None:
        """What a tag leads to, by digest; `missing` for a blob that is not there, or is another."""
        manifest = self.tags.get(tag)
        if manifest is None:
            return None
        value = json.loads(manifest)
        found = {"manifest": hashlib.sha256(manifest).hexdigest()}
        for row in [value["config"], *value["layers"]]:
            blob = self.blobs.get(row["digest"])
            right = blob is not None and "sha256:" + hashlib.sha256(blob).hexdigest() == row["digest"]
            found[row["digest"]] = "there" if right else "missing"
        return found

    is_gone = Index.is_gone
    allowance = Index.allowance
    handle_error = Index.handle_error


class RegistryHandler(BaseHTTPRequestHandler):
    server: Registry

    def answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self) -> bytes | None:
        """What is sent, or nothing where the connection is cut in the middle."""
        length = int(self.headers.get("Content-Length", 0))
        given = self.server.allowance(length)
        data = self.rfile.read(given)
        if given < length:
            self.connection.shutdown(socket.SHUT_RDWR)
        return data if len(data) == length else None

    def handle_one(self) -> None:
        if self.server.is_gone():
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        path, _, query = self.path.partition("?")
        parts = path.split("/")
        if self.command == "POST":
            self.body()
            self.answer(202, {"Location": f"/v2/shop/blobs/uploads/{len(self.server.blobs)}"})
        elif self.command == "PUT" and "uploads" in parts:
            data = self.body()
            if data is None:
                return
            digest = query.split("digest=")[-1].replace("%3A", ":")
            if "sha256:" + hashlib.sha256(data).hexdigest() != digest:
                self.answer(400)
                return
            self.server.blobs[digest] = data
            self.answer(201, {"Docker-Content-Digest": digest})
        elif self.command == "PUT":
            data = self.body()
            if data is None:
                return
            digest = "sha256:" + hashlib.sha256(data).hexdigest()
            self.server.tags[parts[-1]] = data
            self.answer(201, {"Docker-Content-Digest": digest})
        elif "manifests" in parts:
            manifest = self.server.tags.get(parts[-1])
            self.answer(404 if manifest is None else 200, {}, manifest or b"")
        else:
            blob = self.server.blobs.get(parts[-1])
            self.answer(404 if blob is None else 200, {}, blob or b"")

    do_HEAD = do_GET = do_POST = do_PUT = handle_one

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def tree(top: Path) -> dict[str, tuple[str, int, int, str]] | None:
    """Type, mode, time and content of everything below a directory; nothing where there is none."""
    if not top.is_dir():
        return None
    found = {}
    for directory, names, files in os.walk(top):
        for name in names + files:
            path = Path(directory) / name
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                entry = ("link", 0o777, 0, os.readlink(path))
            elif stat.S_ISDIR(status.st_mode):
                entry = ("directory", stat.S_IMODE(status.st_mode), int(status.st_mtime), "")
            else:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                entry = ("file", stat.S_IMODE(status.st_mode), int(status.st_mtime), digest)
            found[str(path.relative_to(top))] = entry
    return found


def contents(top: Path) -> dict[str, str]:
    """The digests of all files below a directory."""
    return {str(path.relative_to(top)): hashlib.sha256(path.read_bytes()).hexdigest() for path in top.rglob("*") if path.is_file()}


def layout(top: Path) -> dict[str, str] | None:
    """What the index of a layout leads to; blobs that nothing leads to are no part of it."""
    if not (top / "index.json").exists():
        return None
    index = (top / "index.json").read_bytes()
    found = {"index": hashlib.sha256(index).hexdigest()}
    rows = json.loads(index)["manifests"]
    while rows:
        digest = rows.pop()["digest"]
        path = top / "blobs" / digest.replace(":", "/")
        data = path.read_bytes() if path.exists() else b""
        found[digest] = "there" if digest == "sha256:" + hashlib.sha256(data).hexdigest() else "missing"
        manifest = json.loads(data) if data.startswith(b"{") else {}
        if "layers" in manifest:
            rows += [manifest["config"], *manifest["layers"]]
    return found


def names(top: Path) -> set[str]:
    """The paths of all files below a directory."""
    return {str(path.relative_to(top)) for path in top.rglob("*") if not path.is_dir()}

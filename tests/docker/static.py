"""The static binary in an empty root: `venvoy` and a project, no libraries, no interpreter, no /etc; only /dev
has its random numbers.

It resolves names from /etc/hosts, as localhost, and through a name server, on loopback of a network of its own; and
without any of these it says so and asks nobody.

    tests/docker/static.py VENVOY
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HELLO = Path(__file__).resolve().parent.parent.parent / "fixtures" / "hello"
TARGET = ["--python-version", "3.12", "--platform", "linux/amd64", "--python-home", "/usr/local/bin"]
HOST = "index.example"


def fail(message: str) -> None:
    sys.exit(f"static binary: {message}")


def loopback_up() -> None:
    """Brings up `lo`, which a new network namespace has down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        # SIOCSIFFLAGS with IFF_UP
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 1))


class Index(SimpleHTTPRequestHandler):
    """A flat directory of wheels as a simple index."""

    def do_GET(self) -> None:
        if not self.path.startswith("/simple/"):
            super().do_GET()
            return
        name = self.path.strip("/").split("/")[-1].replace("-", "_")
        links = "".join(
            f'<a href="/{file.name}#sha256={hashlib.sha256(file.read_bytes()).hexdigest()}">{file.name}</a>'
            for file in Path(self.directory).glob(f"{name}-*.whl")
        )
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(f"<!DOCTYPE html>{links}".encode())

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def serve_names(server: socket.socket, asked: list[bytes]) -> None:
    """Answers that `index.example` is at 127.0.0.1, and that there is nothing else."""
    while True:
        query, client = server.recvfrom(512)
        end = query.index(b"\0", 12) + 5
        name, kind = query[12 : end - 4], query[end - 4 : end - 2]
        asked.append(name)
        known = name.lower() == b"\x05index\x07example\x00"
        answer = known and kind == b"\0\1"
        head = (
            query[:2]
            + (b"\x81\x80" if known else b"\x81\x83")
            + b"\0\1"
            + (b"\0\1" if answer else b"\0\0")
            + b"\0" * 4
        )
        record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton("127.0.0.1") if answer else b""
        server.sendto(head + query[12:end] + record, client)


def sync(root: Path, venvoy: Path, etc: dict[str, str], host: str, port: int) -> tuple[int, str]:
    """`venvoy sync` in a root with only these files in /etc."""
    shutil.rmtree(root, ignore_errors=True)
    (root / "etc").mkdir(parents=True)
    # As in every container; the resolver's query numbers are random.
    (root / "dev").mkdir()
    os.mknod(root / "dev/urandom", stat.S_IFCHR | 0o666, os.makedev(1, 9))
    os.mknod(root / "dev/random", stat.S_IFCHR | 0o666, os.makedev(1, 8))
    shutil.copy(venvoy, root / "venvoy")
    shutil.copytree(HELLO, root / "hello", ignore=shutil.ignore_patterns("wheels", ".venv"))
    for name, text in etc.items():
        (root / "etc" / name).write_text(text)
    chroot = [shutil.which("chroot") or "/usr/sbin/chroot", str(root), "/venvoy", "sync", "--project", "/hello"]
    options = ["--index-url", f"example=http://{host}:{port}/simple", "--cache-dir", "/cache", *TARGET]
    done = subprocess.run([*chroot, *options], env={}, text=True, capture_output=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def main(venvoy: Path) -> None:
    loopback_up()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Index, directory=str(HELLO / "wheels")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    names, asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), []
    names.bind(("127.0.0.1", 53))
    threading.Thread(target=serve_names, args=(names, asked), daemon=True).start()
    modules = "hosts: files mdns4_minimal [NOTFOUND=return] resolve dns myhostname\npasswd: files systemd sss\n"
    cases = [
        ("no /etc at all, localhost", {}, "localhost"),
        ("a hosts file", {"hosts": f"127.0.0.1 {HOST}\n"}, HOST),
        ("a hosts file and name service modules", {"hosts": f"127.0.0.1 {HOST}\n", "nsswitch.conf": modules}, HOST),
        ("a name server", {"resolv.conf": "nameserver 127.0.0.1\n"}, HOST),
        ("a name server and a search domain", {"resolv.conf": "search example\nnameserver 127.0.0.1\n"}, "index"),
    ]
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "root"
        for title, etc, host in cases:
            status, said = sync(root, venvoy, etc, host, server.server_port)
            if status != 0 or not (root / "hello/.venv/bin/hello").exists():
                fail(f"with {title}: ended with {status}\n{said}")
            if bool(asked) != ("resolv.conf" in etc):
                fail(f"with {title}: the name server was asked for {asked}")
            asked.clear()
        status, said = sync(root, venvoy, {}, HOST, server.server_port)
        expected = "/etc/hosts does not list it and /etc/resolv.conf names no server"
        if status != 7 or expected not in said:
            fail(f"without any names: ended with {status}, expected 7 and {expected!r}\n{said}")
        if asked:
            fail(f"without a resolv.conf a name server was asked for {asked}")
    print(f"static binary: works in an empty root, {len(cases)} ways to resolve a name")


def check(venvoy: Path) -> None:
    """Runs this file in a network of its own."""
    headers = subprocess.run(
        ["readelf", "--program-headers", "--dynamic", venvoy], text=True, capture_output=True, check=True
    )
    if "INTERP" in headers.stdout or "NEEDED" in headers.stdout:
        fail(f"{venvoy} is not static:\n{headers.stdout}")
    done = subprocess.run(["unshare", "--net", sys.executable, __file__, str(venvoy)], text=True, capture_output=True)
    if done.returncode != 0:
        fail(done.stdout + done.stderr)
    print(done.stdout, end="", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

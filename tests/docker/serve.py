"""The indexes of the tests: nginx on loopback, one server open, one with TLS and a password."""

from __future__ import annotations

import hashlib
import html
import re
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine import ENDING, fail, run

# A name that only /etc/hosts of the builds knows, as `--add-host` writes it there.
PRIVATE_HOST = "packages.example"
USER, PASSWORD = "deploy", "canary-s3cret-of-the-build"
NGINX = next((path for path in ("/usr/sbin/nginx", "/usr/local/sbin/nginx") if Path(path).exists()), "nginx")
CONFIGURATION = """
daemon off; user root; worker_processes 2; pid {place}/pid; error_log {place}/error.log;
events {{ }}
http {{
    types {{ text/html html; application/octet-stream whl gz; }}
    log_format plain '$status $remote_user $request_uri';
    client_body_temp_path {place}/tmp; proxy_temp_path {place}/tmp; fastcgi_temp_path {place}/tmp;
    uwsgi_temp_path {place}/tmp; scgi_temp_path {place}/tmp;
    server {{
        listen 127.0.0.1:{port}; root {place}/open; access_log {place}/open.log plain;
    }}
    server {{
        listen 127.0.0.1:{private_port} ssl; root {place}/private; access_log {place}/private.log plain;
        ssl_certificate {place}/server.crt; ssl_certificate_key {place}/server.key;
        auth_basic packages; auth_basic_user_file {place}/passwords;
        # The same under the path that GitLab has.
        rewrite ^/api/v4/projects/[0-9]+/packages/pypi/(.*)$ /$1 last;
    }}
}}
"""


@dataclass
class Indexes:
    """The running servers."""

    place: Path
    port: int
    private_port: int

    @property
    def url(self) -> str:
        """The open index, with everything the public one is asked for."""
        return f"http://127.0.0.1:{self.port}/simple"

    @property
    def private_url(self) -> str:
        """The index that wants a password and has a certificate of its own CA."""
        return f"https://{PRIVATE_HOST}:{self.private_port}/simple"

    @property
    def gitlab_url(self) -> str:
        """The private index at a place that GitLab's package API has."""
        return f"https://{PRIVATE_HOST}:{self.private_port}/api/v4/projects/7/packages/pypi/simple"

    @property
    def authority(self) -> Path:
        """The CA's certificate."""
        return self.place / "ca.crt"

    def add(self, file: Path) -> None:
        """Publishes one more file on the open index."""
        publish(self.place / "open", [file])

    def let_in(self, user: str, password: str) -> None:
        """Makes another user of the private index known."""
        run("htpasswd", "-b", self.place / "passwords", user, password)

    def private_requests(self) -> list[str]:
        """What the private index was asked: status, user and path of each request."""
        return (self.place / "private.log").read_text().splitlines()


def publish(root: Path, files: list[Path]) -> None:
    """Lays out an index of these files below `root`."""
    links: dict[str, list[str]] = {}
    (root / "files").mkdir(parents=True, exist_ok=True)
    for file in sorted(files):
        name = re.sub(r"[-_.]+", "-", re.split(r"-(?=\d)", file.name)[0]).lower()
        (root / "files" / file.name).symlink_to(file)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        shown = html.escape(file.name)
        links.setdefault(name, []).append(f'<a href="../../files/{shown}#sha256={digest}">{shown}</a><br>')
    for name, lines in links.items():
        (root / "simple" / name).mkdir(parents=True)
        (root / "simple" / name / "index.html").write_text("<!DOCTYPE html>\n" + "\n".join(lines))


def certificates(place: Path) -> None:
    """A CA and the private server's certificate."""
    (place / "extensions").write_text(f"subjectAltName=DNS:{PRIVATE_HOST}\n")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run(
        "openssl",
        "req",
        "-x509",
        *curve,
        "-days",
        "2",
        "-subj",
        "/CN=Shop CA",
        "-keyout",
        "ca.key",
        "-out",
        "ca.crt",
        cwd=place,
    )
    run(
        "openssl",
        "req",
        *curve,
        "-subj",
        f"/CN={PRIVATE_HOST}",
        "-keyout",
        "server.key",
        "-out",
        "server.csr",
        cwd=place,
    )
    sign = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "extensions")
    run("openssl", "x509", "-req", "-in", "server.csr", *sign, "-out", "server.crt", cwd=place)


def free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@contextmanager
def serve(place: Path, files: list[Path], private: list[Path]) -> Iterator[Indexes]:
    """Both indexes, until the block ends."""
    place.mkdir()
    publish(place / "open", files)
    publish(place / "private", private)
    certificates(place)
    run("htpasswd", "-bc", place / "passwords", USER, PASSWORD)
    indexes = Indexes(place, *free_ports(2))
    configuration = place / "nginx.conf"
    ports = {"port": indexes.port, "private_port": indexes.private_port}
    configuration.write_text(CONFIGURATION.format(place=place, **ports))
    server = subprocess.Popen([*ENDING, NGINX, "-c", str(configuration), "-e", str(place / "error.log")])
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", indexes.private_port)) == 0:
                    break
            time.sleep(0.1)
        else:
            fail(f"nginx did not start:\n{(place / 'error.log').read_text()}")
        yield indexes
    finally:
        server.terminate()
        server.wait(30)


def private_wheel(directory: Path) -> Path:
    """A wheel that only the private index has."""
    info = "shop_prices-2.0.dist-info"
    members = {
        "shop_prices.py": 'SECRET_OF_THE_TRADE = "buy low"\n',
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: shop-prices\nVersion: 2.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    members[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in (*members, f"{info}/RECORD"))
    wheel = directory / "shop_prices-2.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in members.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return wheel


if __name__ == "__main__":
    sys.exit("this is a part of tests/docker/run")

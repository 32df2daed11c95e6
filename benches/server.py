"""nginx serving the index on loopback behind basic authentication."""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

CONFIGURATION = """\
{user}
worker_processes auto;
pid {prefix}/nginx.pid;
error_log {prefix}/error.log;
daemon off;
events {{ worker_connections 1024; }}
http {{
    log_format short '$status $request_method $bytes_sent $uri $http_range';
    access_log {access_log};
    client_body_temp_path {prefix}/temporary;
    proxy_temp_path {prefix}/temporary;
    fastcgi_temp_path {prefix}/temporary;
    uwsgi_temp_path {prefix}/temporary;
    scgi_temp_path {prefix}/temporary;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000;
    limit_rate {rate};
    types {{
        text/html html;
        application/vnd.pypi.simple.v1+json json;
    }}
    default_type application/octet-stream;
    map $http_accept $page {{
        default index.html;
        "~application/vnd\\.pypi\\.simple\\.v1\\+json" index.json;
    }}
    server {{
        listen 127.0.0.1:{port};
        root {root};
        auth_basic "index";
        auth_basic_user_file {prefix}/passwords;
        # Named, as the map's own match replaces numbered ones.
        location ~ ^(?<project>/[a-z]+/simple/[^/]+)/$ {{
            add_header Cache-Control "max-age=600, public";
            add_header Vary Accept;
            rewrite ^ $project/$page break;
        }}
        location ~ ^/[a-z]+/files/ {{
            add_header Cache-Control "max-age=365000000, immutable, public";
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Server:
    """A running index: `url(set)` is its simple API, `netrc` the file that holds the credentials."""

    process: subprocess.Popen
    port: int
    netrc: Path

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}/simple"

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()


def nginx() -> str:
    """The nginx program; installs Debian's package when it is missing and we may."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    if found := shutil.which("nginx", path=path):
        return found
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit("nginx is needed to serve the index: install it (Debian: apt-get install nginx-light)")
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    subprocess.run(["apt-get", "install", "-y", "-qq", "nginx-light"], check=True)
    return shutil.which("nginx", path=path) or sys.exit("nginx is still missing after its installation")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_open(process: subprocess.Popen, port: int, log: Path) -> None:
    for _ in range(100):
        if process.poll() is not None:
            sys.exit(f"nginx ended at once, see {log}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    process.terminate()
    sys.exit(f"nginx does not answer on port {port}, see {log}")


def serve(root: Path, prefix: Path, log_requests: bool = False, rate: int | None = None) -> Server:
    """Starts nginx over `root`; it keeps its own files in `prefix`. `rate` is MB/s for each connection."""
    program = nginx()
    prefix.mkdir(parents=True)
    password = secrets.token_urlsafe(12)
    # A worker of another user could not read a repository under a private home directory.
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    port = free_port()
    access_log = f"{prefix}/access.log short" if log_requests else "off"
    configuration = CONFIGURATION.format(
        user=user, prefix=prefix, root=root, port=port, access_log=access_log, rate=(rate or 0) * 1_000_000
    )
    (prefix / "nginx.conf").write_text(configuration)
    (prefix / "passwords").write_text(f"bench:{{PLAIN}}{password}\n")
    netrc = prefix / "netrc"
    netrc.touch(mode=0o600)
    netrc.write_text(f"machine 127.0.0.1 login bench password {password}\n")
    command = [program, "-p", str(prefix), "-e", str(prefix / "error.log"), "-c", str(prefix / "nginx.conf")]
    process = subprocess.Popen(command)
    wait_until_open(process, port, prefix / "error.log")
    return Server(process, port, netrc)

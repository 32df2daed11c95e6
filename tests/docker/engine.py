"""A Docker engine of our own: its data, sockets and processes are below one directory, and end with it."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Unavailable(Exception):
    """Why there is no engine here."""


class Docker:
    """The client of one engine."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.client = "/usr/bin/docker"

    def __call__(self, *command: str | Path, **options: object) -> str:
        """Runs a docker command and gives what it printed; its failure is ours."""
        env = {**os.environ, "DOCKER_BUILDKIT": "1", "DOCKER_HOST": f"unix://{self.socket}", "BUILDKIT_PROGRESS": "plain"}
        done = subprocess.run(
            [self.client, *map(str, command)],
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            **options,
        )
        if done.returncode != 0:
            raise SystemExit(f"docker {' '.join(map(str, command))} ended with {done.returncode}\n{done.stdout[-6000:]}")
        return done.stdout


@contextmanager
def engine(root: Path) -> Iterator[Docker]:
    """Starts dockerd below `root`, and ends it.

    Raises Unavailable where one cannot run: not root, not installed, or a kernel that does not let it.
    """
    if os.geteuid() != 0:
        raise Unavailable("a Docker engine needs root")
    if not Path("/usr/sbin/dockerd").exists():
        raise Unavailable("there is no dockerd (Debian's docker.io)")
    data, state = root / "data", Path("/run") / f"venvoy-docker-{os.getpid()}"
    for directory in (data, state):
        directory.mkdir(parents=True, exist_ok=True)
    socket, log = state / "docker.sock", root / "dockerd.log"
    command = ["/usr/sbin/dockerd", "--data-root", data, "--exec-root", state / "exec", "--pidfile", state / "pid"]
    command += ["--host", f"unix://{socket}", "--bridge", "none", "--iptables=false"]
    with log.open("w") as output:
        daemon = subprocess.Popen([str(part) for part in command], stdout=output, stderr=output)
    try:
        docker = Docker(socket)
        for _ in range(120):
            if daemon.poll() is not None:
                raise Unavailable(f"dockerd does not start: {log.read_text().splitlines()[-1:]}")
            probe = subprocess.run(
                [docker.client, "--host", f"unix://{socket}", "info"], capture_output=True, check=False
            )
            if probe.returncode == 0:
                break
            time.sleep(0.5)
        else:
            raise Unavailable(f"dockerd does not answer: {log.read_text().splitlines()[-1:]}")
        yield docker
    finally:
        daemon.terminate()
        try:
            daemon.wait(30)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
        shutil.rmtree(state, ignore_errors=True)

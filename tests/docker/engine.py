"""Debian's Docker engine, started for the tests and for nothing else: own socket, own data, ended by its id."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# Not whatever else is called docker on PATH.
DOCKER, DOCKERD = Path("/usr/bin/docker"), Path("/usr/sbin/dockerd")
# Builds reach the servers of the tests, which listen on loopback only.
BUILD = ("--network", "host")
# What a server begins with: it ends with the test, also where that is killed.
ENDING = ("setpriv", "--pdeathsig", "TERM")


def run(*command: str | Path, expect: int | None = 0, **options) -> str:
    """What the command printed; ends the test if it did not end as expected."""
    done = subprocess.run(
        [str(part) for part in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    )
    if expect is not None and done.returncode != expect:
        fail(f"{' '.join(map(str, command))}\nended with {done.returncode}, expected {expect}\n{done.stdout}")
    return done.stdout


def fail(message: str) -> None:
    sys.exit(f"docker: {message}")


def await_start(server: subprocess.Popen, log: Path, answers: Callable[[], bool]) -> None:
    """Waits until a server that was started answers; ends the test with its log if it does not."""
    deadline = time.monotonic() + 60
    while not answers():
        if server.poll() is not None or time.monotonic() > deadline:
            fail(f"{' '.join(map(str, server.args))} did not start:\n{log.read_text()}")
        time.sleep(0.1)


class Engine:
    """A running engine and its images.

    `within` is what a command begins with that is to run where the engine does.
    """

    def __init__(self, socket: Path, within: tuple[str | Path, ...] = ()) -> None:
        self.within = within
        self.host = f"unix://{socket}"
        self.env = {"PATH": os.environ["PATH"], "HOME": str(socket.parent), "DOCKER_HOST": self.host}

    def __call__(self, *arguments: str | Path, expect: int | None = 0, buildkit: bool = True, **options) -> str:
        env = {**self.env, "DOCKER_BUILDKIT": str(int(buildkit))}
        return run(*self.within, DOCKER, *arguments, expect=expect, env=env, **options)

    def answers(self) -> bool:
        return "Server Version" in self("info", expect=None)

    def build(
        self, context: Path, tag: str, *arguments: str | Path, buildkit: bool = True, works: bool = True
    ) -> str:
        """Builds an image, or fails to where it is not to work, and gives what was printed."""
        progress = ("--progress", "plain") if buildkit else ()
        expect = 0 if works else 1
        return self("build", *BUILD, *progress, "--tag", tag, *arguments, context, buildkit=buildkit, expect=expect)

    def run(self, image: str, *command: str, options: tuple[str, ...] = (), expect: int | None = 0) -> str:
        """Runs a command as the image's user, without a network and with nothing to write to but /tmp."""
        closed = ("--network", "none", "--read-only", "--tmpfs", "/tmp")
        return self("run", "--rm", *closed, *options, image, *command, expect=expect)

    def layers(self, image: str) -> list[str]:
        """The digests of the image's layers, as tar."""
        return json.loads(self("image", "inspect", "--format", "{{json .RootFS.Layers}}", image))

    def unpack(self, image: str, destination: Path) -> None:
        """The image's file system, in a directory."""
        destination.mkdir()
        container = self("create", "--network", "none", image, "none").strip()
        try:
            archive = destination.with_suffix(".tar")
            self("export", "--output", archive, container)
            run("tar", "-C", destination, "-xf", archive)
            archive.unlink()
        finally:
            self("rm", container)


def daemon(data: Path, place: Path, config: Path) -> list[str | Path]:
    """What starts an engine with its images in `data`, and all else in `place`."""
    return [
        *(DOCKERD, "--data-root", data, "--exec-root", place / "exec", "--pidfile", place / "pid"),
        *("--host", f"unix://{place}/socket", "--config-file", config),
        # Containers get the host's network or none: nothing of the machine's network is changed.
        *("--bridge", "none", "--iptables=false", "--ip6tables=false"),
        *("--ip-forward=false", "--ip-masq=false"),
    ]


@contextmanager
def start(data: Path) -> Iterator[Engine]:
    """An engine with its images in `data`, until the block ends."""
    data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="venvoy-docker-") as name:
        place = Path(name)
        log = place / "log"
        (place / "config.json").write_text("{}")
        command = daemon(data, place, place / "config.json")
        with log.open("wb") as output:
            server = subprocess.Popen([*ENDING, *map(str, command)], stdout=output, stderr=output)
        try:
            engine = Engine(place / "socket")
            await_start(server, log, engine.answers)
            yield engine
        finally:
            server.terminate()
            server.wait(60)
            # The host's network namespace stays mounted there once a container had it.
            mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
            for mount in reversed([mount for mount in mounts if mount.startswith(f"{place}/")]):
                run("umount", mount)

"""A later Debian in a folder, with its engines, and rooms in which programs of it run.

Nothing of it runs or stays mounted once its room is left, whatever ends the test: a room is a process and mount
namespace, whose first process lives as long as the test holds its standard input.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from engine import await_start, fail, run
from images import HERE, WORK, mirror

RELEASE = "trixie"
PACKAGES = (
    *("docker.io", "docker-cli", "docker-buildx", "containerd", "stargz-snapshotter"),
    *("podman", "buildah", "skopeo", "runc", "ca-certificates"),
)
# Debian's package has the snapshotter's clients and not itself, which is built (`snapshotter.go`) over its library.
BUILD = ("golang-go", "golang-github-containerd-stargz-snapshotter-dev")
SNAPSHOTTER = "/usr/local/bin/stargz-snapshotter"
# Where the folder says what it was made of.
MARK = "etc/made-of"

# What the first process of a room does, before it waits for its end. $1 and $2 are the folder and the place that is
# written to. The folder cannot be written to: it is to be for the next run what it is for this one.
BEGIN = "set -eu; read -r pid _ </proc/self/stat; "
END = 'echo "$pid"; exec cat'
OF_THE_MACHINE = f"{BEGIN} mount -t proc proc /proc; {END}"
OF_THE_FOLDER = f"""{BEGIN}
    mount --bind "$1" "$1"; cd "$1"
    mount -t proc proc proc; mount --rbind /sys sys; mount --rbind /dev dev
    mount -t tmpfs tmpfs run; mount -t tmpfs tmpfs var/cache
    mkdir -p "$2/tmp" ".$2"
    mount --bind "$2/tmp" var/tmp; mount --bind "$2/tmp" tmp; mkdir -p ".$2"; mount --bind "$2" ".$2"
    mount -o remount,bind,ro .
    pivot_root . mnt; umount -l /mnt
    {END}"""


@contextmanager
def opened(script: str, *arguments: Path) -> Iterator[tuple[str, ...]]:
    """A room, until the block ends: what commands in it begin with."""
    command = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", script, "room", *map(str, arguments)]
    pipe = subprocess.PIPE
    first = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    try:
        pid = first.stdout.readline().strip()
        if not pid:
            fail(f"there is no room for the engines: {first.stderr.read()}")
        # What the machine has for temporary files need not be there.
        yield ("nsenter", "--target", pid, "--mount", "--pid", "--", "env", "--unset=TMPDIR")
    finally:
        first.communicate()


@dataclass
class Room:
    """A room of the later Debian: what commands in it begin with, and the servers that were started in it."""

    within: tuple[str, ...]
    place: Path
    servers: list[subprocess.Popen] = field(default_factory=list)

    def __call__(self, *command: str | Path, **options) -> str:
        return run(*self.within, *command, **options)

    def start(self, name: str, command: tuple[str | Path, ...], answers: Callable[[], bool]) -> None:
        """Starts a server, which ends with the room, and waits until it answers."""
        log = self.place / f"{name}.log"
        with log.open("wb") as output:
            whole = [str(part) for part in (*self.within, *command)]
            server = subprocess.Popen(whole, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self.servers.append(server)
        await_start(server, log, answers)


@contextmanager
def room(place: Path) -> Iterator[Room]:
    """A room which has `place` at the same path, until the block ends."""
    with opened(OF_THE_FOLDER, folder(), place) as within:
        found = Room(within, place)
        yield found
    for server in found.servers:
        server.wait(60)


def folder() -> Path:
    """The later Debian, made if it is not there."""
    root = WORK / RELEASE
    source = HERE / "snapshotter.go"
    made_of = " ".join((RELEASE, *PACKAGES, *BUILD, source.read_text()))
    if (root / MARK).exists() and (root / MARK).read_text() == made_of:
        return root
    run("rm", "-rf", root)
    with opened(OF_THE_MACHINE) as within:
        run(*within, "debootstrap", "--variant=minbase", RELEASE, root, mirror())
        # As the machine reaches names; and no server is to start by itself.
        run("cp", "--dereference", "/etc/resolv.conf", root / "etc/resolv.conf")
        (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
        (root / "usr/sbin/policy-rc.d").chmod(0o755)
        run(*within, "mount", "-t", "proc", "proc", root / "proc")
        clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}
        small = [
            option
            for part in ("doc", "man", "locale", "info")
            for option in ("-o", f"Dpkg::Options::=--path-exclude=/usr/share/{part}/*")
        ]
        apt = (*within, "chroot", root, "apt-get", "-qq", "-o", "Acquire::Retries=3")
        quick = ("-o", "Dpkg::Options::=--force-unsafe-io")
        run(*apt, *small, *quick, "install", "-y", "--no-install-recommends", *PACKAGES, *BUILD, env=clean)
        run(*apt, "clean", env=clean)
        go = {"GOPATH": "/usr/share/gocode", "GO111MODULE": "off", "GOCACHE": "/root/cache", "CGO_ENABLED": "0"}
        run("cp", source, root / "root")
        build = ("go", "build", "-o", SNAPSHOTTER, "/root/snapshotter.go")
        run(*within, "chroot", root, *build, env={**clean, "HOME": "/root", **go})
        run(*apt, *quick, "purge", "-y", "--auto-remove", *BUILD, env=clean)
        run("rm", "-rf", root / "root/cache", root / "var/lib/apt/lists")
        (root / MARK).write_text(made_of)
    return root


if __name__ == "__main__":
    sys.exit("this is a part of tests/docker/run")

"""What `venvoy pack` makes, taken by every engine and archiver that Debian has: loaded, pulled, built on, unpacked, run.

The images run the project's tests as user 1099, read-only, without a network. Digests are compared wherever a tool keeps them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docs
import project
from engine import Engine, fail, run
from images import PYTHON, REPOSITORY

# As the flags of `pack` say it, for engines that are asked to run something else than the image's command.
COMMAND = ("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")


@contextmanager
def registry(place: Path) -> Iterator[str]:
    """Debian's registry on loopback, until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(place / "registry")}},
        "http": {"addr": address},
        "log": {"level": "error", "accesslog": {"disabled": True}},
    }
    (place / "registry.yml").write_text(json.dumps(config))
    with (place / "registry.log").open("wb") as log:
        server = subprocess.Popen(["docker-registry", "serve", place / "registry.yml"], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while True:
            host, port = address.split(":")
            try:
                socket.create_connection((host, int(port)), 1).close()
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > deadline:
                    fail(f"docker-registry did not start:\n{(place / 'registry.log').read_text()}")
                time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait(30)


class Packed:
    """A project and a binary that packs it."""

    def __init__(self, docker: Engine, binary: Path, index: str, place: Path) -> None:
        self.docker, self.binary, self.place = docker, binary, place
        self.context = project.write(place / "packed", index, {}, own=False)
        self.env = {
            **docker.env,
            # Debian's docker, not whatever else is called so.
            "PATH": "/usr/bin:/usr/sbin:/bin:/sbin",
            "HOME": str(place),
            "VENVOY_CACHE_DIR": str(place / "cache"),
        }

    def venvoy(self, *arguments: str | Path) -> str:
        """The last line on standard output."""
        done = subprocess.run(
            [str(part) for part in (self.binary, *arguments)],
            cwd=self.context,
            env=self.env,
            text=True,
            capture_output=True,
        )
        if done.returncode != 0:
            fail(f"venvoy {' '.join(map(str, arguments))} ended with {done.returncode}:\n{done.stderr}")
        return (done.stdout.splitlines() or [""])[-1]

    def pack(self, *arguments: str | Path, base: str = PYTHON) -> str:
        """The image's digest."""
        run_as = ("--cmd", json.dumps(COMMAND), "--user", "1099", "--workdir", "/srv")
        along = ("--copy", "src:/srv", "--copy", "tests:/srv/tests", "--env", "PYTHONDONTWRITEBYTECODE=1")
        return self.venvoy("pack", "--dev", "--base", base, *run_as, *along, *arguments)

    def digest(self, venv: Path) -> str:
        """What is in an environment."""
        return self.venvoy("digest", venv)


def check_run(said: str, who: str) -> None:
    if "passed" not in said or "failed" in said:
        fail(f"{who}: the tests in the packed image said {said}")
    print(f"docker: pack: {who} runs it: {said.strip().splitlines()[-1]}", flush=True)


def check(docker: Engine, binary: Path, index: str, place: Path) -> None:
    """All of it."""
    place = place / "packs"
    place.mkdir()
    packed = Packed(docker, binary, index, place)
    layout, archive = place / "layout", place / "image.tar"
    digest = packed.pack("--oci", layout, "--name", "packed:layout")
    if packed.pack("--oci", archive, "--name", "packed:loaded") != digest:
        fail("pack: a directory and a tar have different images")
    packed.pack("--load=docker", "--name", "packed:given")
    with registry(place) as address:
        pushed = f"{address}/team/shop:one"
        if packed.pack("--push", pushed) != digest:
            fail("pack: what is pushed is another image")
        on_registry(packed, pushed, digest)
        with_docker(packed, archive, pushed, digest)
        with_skopeo(place, layout, archive, pushed, digest)
        documented(packed, address)
        inside(packed, address)
    rootfs = with_umoci(place, layout)
    with_podman(place, archive)
    lazily(packed)
    with_buildah(place, layout)
    archivers(packed, rootfs)


def on_registry(packed: Packed, pushed: str, digest: str) -> None:
    """A base that is in the registry: of the same image nothing but manifest and config is sent."""
    other = packed.pack("--push", pushed.replace("/team/shop", "/other/shop"), "--env", "A=B", base=pushed)
    if other == digest:
        fail("pack: another setting gives the same image")


def with_docker(packed: Packed, archive: Path, pushed: str, digest: str) -> None:
    """Docker loads, pulls, builds on it and copies from it."""
    docker = packed.docker
    docker("load", "--input", archive)
    check_run(docker.run("packed:loaded"), "docker, loaded,")
    check_run(docker.run("packed:given"), "docker, by --load,")
    docker("pull", pushed)
    check_run(docker.run(pushed), "docker, pulled,")
    ids = {docker("image", "inspect", "--format", "{{.Id}}", name) for name in ("packed:loaded", "packed:given", pushed)}
    if len(ids) != 1:
        fail(f"pack: docker has different images: {ids}")
    digests = docker("image", "inspect", "--format", "{{json .RepoDigests}}", pushed)
    if digest not in digests:
        fail(f"pack: docker pulled {digests}, expected {digest}")
    context = packed.place / "context"
    context.mkdir()
    packed.venvoy("pack", "--dev", "-o", context / "deps.tar.gz", *described())
    for name, text in {
        "from": f"FROM {pushed}\nENV C=D\n",
        "copy": f"FROM {PYTHON}\nCOPY --from={pushed} / /\nENV PATH=/.venv/bin:/usr/local/bin:/usr/bin:/bin\n",
        "add": f"FROM {PYTHON}\nADD deps.tar.gz /\nENV PATH=/.venv/bin:/usr/local/bin:/usr/bin:/bin\n",
    }.items():
        (context / f"{name}.Dockerfile").write_text(text)
        docker.build(context, f"packed:{name}", "--file", context / f"{name}.Dockerfile")
        said = docker.run(f"packed:{name}", "flask", "--version", options=("--user", "1099"))
        if "Flask" not in said:
            fail(f"pack: flask in an image by {name} said {said}")
    if docker.layers("packed:from")[:-1] and docker.layers("packed:from") != docker.layers(pushed):
        fail("pack: FROM changed layers")


def documented(packed: Packed, address: str) -> None:
    """The page's images that begin with the packages: by Docker, by buildah, and by nobody."""
    docker, place = packed.docker, packed.place
    files = docs.files(docs.PAGE)
    for name in ("packed.Dockerfile", "layout.Dockerfile"):
        (packed.context / name).write_text(files[name])
    base = f"{address}/{PYTHON}"
    # With Docker's media types, as most bases have them.
    here = ("--insecure-policy", "--format", "v2s2", "--dest-tls-verify=false", "--src-daemon-host", docker.host)
    run("skopeo", "copy", *here, f"docker-daemon:{PYTHON}", f"docker://{base}")
    programs = place / "programs"
    programs.mkdir()
    (programs / "venvoy").symlink_to(packed.binary)
    env = {**packed.env, "PATH": f"{programs}:{packed.env['PATH']}", "DOCKER_BUILDKIT": "1"}

    def shell(name: str, change: dict[str, str]) -> None:
        text = files[name].replace("registry.example/", f"{address}/")
        for before, after in change.items():
            if text.count(before) != 1:
                fail(f"{name} has {before!r} {text.count(before)} times")
            text = text.replace(before, after)
        run("sh", "-euc", text, cwd=packed.context, env=env)

    shell("packed.sh", {})
    store = f"--root {place}/buildah/root --runroot {place}/buildah/run --storage-driver overlay"
    shell("layout.sh", {"buildah bud": f"buildah {store} bud"})
    saved = place / "saved.tar"
    run("buildah", *store.split(), "push", "--quiet", "shop", f"docker-archive:{saved}:by-buildah:latest")
    docker("load", "--input", saved)
    saved.unlink()
    shell("alone.sh", {})
    alone = f"{address}/team/shop:1.4"
    docker("pull", alone)
    packages = docker.layers("shop-packages")
    for who, image in {"Docker": "shop", "buildah": "by-buildah", "nobody": alone}.items():
        if (said := docker.run(image).strip()) != "total 4 from /srv/shop":
            fail(f"pack: the image built by {who} on the packed base said {said!r}")
        check_run(docker.run(image, *COMMAND), f"docker, built by {who} on the packed base,")
        # What --copy brings is a layer that the packages do not get.
        if image != alone and docker.layers(image)[: len(packages)] != packages:
            fail(f"pack: the image built by {who} has other layers than the packed base")


def inside(packed: Packed, address: str) -> None:
    """The page's way to the list of what is inside, which is attached to an image."""
    digest = packed.pack("--push", f"{address}/team/shop:1.4", "--sbom", "cyclonedx", "attach")
    text = docs.files(REPOSITORY / "docs" / "registries.md")["inside.sh"]
    # The registry of the tests has no TLS, and nobody here has a policy for signatures.
    for before, after in {
        "registry.example/": f"{address}/",
        "skopeo inspect": "skopeo inspect --tls-verify=false",
        "skopeo copy": "skopeo copy --insecure-policy --src-tls-verify=false",
    }.items():
        text = text.replace(before, after)
    run("sh", "-euc", text, cwd=packed.place, env={**packed.env, "digest": digest})
    blobs = [path for path in (packed.place / "inside").iterdir() if path.name not in ("manifest.json", "version")]
    found = json.loads(max(blobs, key=lambda path: path.stat().st_size).read_bytes())
    if found.get("bomFormat") != "CycloneDX" or "flask" not in {one["name"].lower() for one in found["components"]}:
        fail(f"pack: what is inside is not listed: {found}")


def described() -> tuple[str, ...]:
    return ("--python-version", "3.9", "--platform", "linux/amd64", "--python-home", "/usr/local/bin")


def with_skopeo(place: Path, layout: Path, archive: Path, pushed: str, digest: str) -> None:
    """skopeo reads every blob and compares all digests."""
    run("skopeo", "copy", "--insecure-policy", f"oci:{layout}:layout", f"dir:{place}/dir")
    run("skopeo", "copy", "--insecure-policy", f"oci-archive:{archive}:loaded", f"oci:{place}/again:x")
    run("skopeo", "copy", "--insecure-policy", f"docker-archive:{archive}", f"dir:{place}/docker-dir")
    run("skopeo", "copy", "--insecure-policy", "--src-tls-verify=false", f"docker://{pushed}", f"oci:{place}/pulled:x")
    for copy in ("again", "pulled"):
        (row,) = json.loads((place / copy / "index.json").read_text())["manifests"]
        if row["digest"] != digest:
            fail(f"pack: skopeo's copy {copy} is {row['digest']}, expected {digest}")
    print("docker: pack: skopeo finds every digest right", flush=True)


def with_umoci(place: Path, layout: Path) -> Path:
    """umoci unpacks it, which compares DiffIDs."""
    run("umoci", "unpack", "--image", f"{layout}:layout", place / "bundle")
    print("docker: pack: umoci unpacks it", flush=True)
    return place / "bundle" / "rootfs"


def lazily(packed: Packed) -> None:
    """What `--lazy` makes is an image like any other to those that know nothing of it, and can be read file by file."""
    place = packed.place
    layout, archive = place / "lazy", place / "lazy.tar"
    digest = packed.pack("--lazy", "--oci", layout, "--name", "packed:lazy")
    packed.pack("--lazy", "--oci", archive, "--name", "packed:lazy")
    (place / "by-table").mkdir()
    said = run("python3", REPOSITORY / "tests/expected/estargz.py", layout, place / "by-table")
    # The base's layers are not.
    if not re.fullmatch(r"(not lazy: \S+\n)+\d{4,} files, \d+ more chunks\n", said):
        fail(f"pack --lazy: the reader said {said}")
    packed.docker("load", "--input", archive)
    check_run(packed.docker.run("packed:lazy"), "docker, lazy layers,")
    run("skopeo", "copy", "--insecure-policy", f"oci:{layout}:lazy", f"oci:{place}/lazy-again:x")
    (row,) = json.loads((place / "lazy-again/index.json").read_text())["manifests"]
    if row["digest"] != digest:
        fail(f"pack --lazy: skopeo's copy is {row['digest']}, expected {digest}")
    with_podman(place, archive)


def with_podman(place: Path, archive: Path) -> None:
    """podman loads and runs it."""
    store = ("--root", place / "podman/root", "--runroot", place / "podman/run", "--storage-driver", "overlay")
    # Debian's crun refuses some hosts' control groups; the engine's own runtime is here anyway.
    podman = ("podman", "--runtime", "runc", *store, "--cgroup-manager", "cgroupfs", "--events-backend", "none")
    env = {**os.environ, "HOME": str(place)}
    name = run(*podman, "load", "--input", archive, env=env).split()[-1]
    closed = ("--network", "none", "--read-only", "--tmpfs", "/tmp")
    # What it would set by itself is more than a machine may allow.
    limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
    check_run(run(*podman, "run", "--rm", *closed, *limits, name, env=env), "podman")


def with_buildah(place: Path, layout: Path) -> None:
    """buildah begins with it and runs it."""
    store = ("--root", place / "buildah/root", "--runroot", place / "buildah/run", "--storage-driver", "overlay")
    container = run("buildah", *store, "from", "--quiet", f"oci:{layout}").strip().splitlines()[-1]
    check_run(run("buildah", *store, "run", "--isolation", "chroot", container, "--", *COMMAND), "buildah")


def archivers(packed: Packed, rootfs: Path) -> None:
    """Every tar and every gunzip makes the same environment of it."""
    place = packed.place / "archives"
    place.mkdir()
    packed.venvoy("pack", "--dev", "-o", place / "deps.tar", *described())
    packed.venvoy("pack", "--dev", "-o", place / "deps.tar.gz", *described())
    plain = (place / "deps.tar").read_bytes()
    for command in (("gzip", "-dc"), ("unpigz", "-c"), ("igzip", "-dc"), ("busybox", "gunzip", "-c")):
        with (place / "deps.tar.gz").open("rb") as archive:
            if subprocess.run(command, stdin=archive, capture_output=True).stdout != plain:
                fail(f"pack: {command[0]} makes something else of the archive")
    made = {}
    for name, command in {
        "GNU tar": ("tar", "-xpf"),
        "bsdtar": ("bsdtar", "-xpf"),
        "busybox tar": ("busybox", "tar", "-xpzf"),
    }.items():
        to = place / name.replace(" ", "-")
        to.mkdir()
        run(*command, place / "deps.tar.gz", "-C", to)
        made[name] = to / ".venv"
    with tarfile.open(place / "deps.tar.gz") as archive:
        archive.extractall(place / "tarfile", filter="tar")
    made["tarfile"] = place / "tarfile" / ".venv"
    trees = {name: tree(venv) for name, venv in made.items()}
    for name, found in trees.items():
        if found != trees["GNU tar"]:
            differs = sorted({path for path, _ in set(found.items()) ^ set(trees["GNU tar"].items())})
            fail(f"pack: {name} and GNU tar unpack different trees: {differs[:20]}")
    # Times too, by those that set them all: BusyBox and tarfile do not for directories or links.
    if (digest := packed.digest(made["GNU tar"])) != packed.digest(made["bsdtar"]):
        fail(f"pack: bsdtar's environment is another than GNU tar's, {digest}")
    # umoci's is for the base's Python, whose version is known to the last digit: as many files.
    if set(tree(rootfs / ".venv")) != set(trees["GNU tar"]):
        fail("pack: umoci unpacks other files than GNU tar")
    shutil.rmtree(place)
    print(f"docker: pack: {', '.join(made)} unpack the same; four gunzips give the same bytes", flush=True)


def tree(root: Path) -> dict[str, tuple[str, int, str]]:
    """What is below a directory: kind, mode, and content or target, by path."""
    found = {}
    for path in sorted(root.rglob("*")):
        mode = path.lstat().st_mode & 0o7777
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = ("link", 0, str(path.readlink()))
        elif path.is_dir():
            found[name] = ("directory", mode, "")
        else:
            found[name] = ("file", mode, hashlib.sha256(path.read_bytes()).hexdigest())
    return found

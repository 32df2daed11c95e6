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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docs
import project
from engine import ENDING, Engine, await_start, fail, run
from images import PYTHON, REPOSITORY

# As the flags of `pack` say it, for engines that are asked to run something else than the image's command.
COMMAND = ("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
# What an image says by itself that is not packed but has the same in it.
AS_PACKED = """
ENV PATH=/.venv/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv
USER 1099
"""


@contextmanager
def registry(place: Path) -> Iterator[str]:
    """Debian's registry on loopback, until the block ends; what it is asked is in `registry.log`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(place / "registry")}},
        "http": {"addr": address},
        "log": {"level": "error"},
    }
    (place / "registry.yml").write_text(json.dumps(config))
    with (place / "registry.log").open("wb") as log:
        command = (*ENDING, "docker-registry", "serve", place / "registry.yml")
        server = subprocess.Popen(command, stdout=log, stderr=log)

    def answers() -> bool:
        host, port = address.split(":")
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0

    try:
        await_start(server, place / "registry.log", answers)
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

    def pack(self, *arguments: str | Path, base: str | None = PYTHON) -> str:
        """The image's digest. Without a base the arguments say which interpreter comes along."""
        run_as = ("--cmd", json.dumps(COMMAND), "--user", "1099", "--workdir", "/srv")
        along = ("--copy", "src:/srv", "--copy", "tests:/srv/tests", "--env", "PYTHONDONTWRITEBYTECODE=1")
        beneath = ("--with-python",) if base is None else ("--base", base)
        return self.venvoy("pack", "--dev", *beneath, *run_as, *along, *arguments)

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
        with_docker(packed, docker, archive, pushed, digest)
        check_run(docker.run("packed:given"), "docker, by --load,")
        same_image(docker, "packed:given", "packed:loaded")
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


def with_docker(
    packed: Packed, docker: Engine, archive: Path, pushed: str, digest: str, base: str = PYTHON, who: str = "docker"
) -> None:
    """Docker loads, pulls, builds on it and copies from it."""
    docker("load", "--input", archive)
    check_run(docker.run("packed:loaded"), f"{who}, loaded,")
    docker("pull", pushed)
    check_run(docker.run(pushed), f"{who}, pulled,")
    same_image(docker, "packed:loaded", pushed)
    digests = docker("image", "inspect", "--format", "{{json .RepoDigests}}", pushed)
    if digest not in digests:
        fail(f"pack: {who} pulled {digests}, expected {digest}")
    context = build_context(packed)
    for name, text in {
        "from": f"FROM {pushed}\nENV C=D\n",
        "copy": f"FROM {base}\n{copied(pushed)}",
        "add": f"FROM {base}\nADD deps.tar.gz /\nCOPY src /srv\nCOPY tests /srv/tests\n{AS_PACKED}",
    }.items():
        (context / f"{name}.Dockerfile").write_text(text)
        docker.build(context, f"packed:{name}", "--file", context / f"{name}.Dockerfile")
        check_run(docker.run(f"packed:{name}", *COMMAND), f"{who}, by {name},")
    if docker.layers("packed:from") != docker.layers(pushed):
        fail(f"pack: FROM changed layers by {who}")


def copied(image: str) -> str:
    """The end of a Dockerfile that takes the environment and the project out of an image."""
    return f"COPY --from={image} /.venv /.venv\nCOPY --from={image} /srv /srv\n{AS_PACKED}"


def same_image(docker: Engine, *names: str) -> None:
    ids = {name: docker("image", "inspect", "--format", "{{.Id}}", name).strip() for name in names}
    if len(set(ids.values())) != 1:
        fail(f"pack: docker has different images: {ids}")


def build_context(packed: Packed) -> Path:
    """The packages as a tar, and the project."""
    context = packed.place / "context"
    if not context.exists():
        packed.venvoy("pack", "--dev", "-o", packed.place / "deps.tar.gz", *described())
        for part in ("src", "tests"):
            shutil.copytree(packed.context / part, context / part)
        (packed.place / "deps.tar.gz").rename(context / "deps.tar.gz")
    return context


def push_base(packed: Packed, address: str, media_types: str) -> str:
    """The image to begin with, in the registry, with media types of this kind (`oci` or `v2s2`)."""
    base = f"{address}/{PYTHON}"
    here = ("--insecure-policy", "--format", media_types, "--dest-tls-verify=false", "--src-daemon-host", packed.docker.host)
    run("skopeo", "copy", *here, f"docker-daemon:{PYTHON}", f"docker://{base}")
    return base


def documented(packed: Packed, address: str) -> None:
    """The page's images that begin with the packages: by Docker, by buildah, and by nobody."""
    docker, place = packed.docker, packed.place
    files = docs.files(docs.PAGE)
    for name in ("packed.Dockerfile", "layout.Dockerfile"):
        (packed.context / name).write_text(files[name])
    # With Docker's media types, as most bases have them.
    base = push_base(packed, address, "v2s2")
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


def with_skopeo(
    place: Path, layout: Path, archive: Path, pushed: str, digest: str, within: tuple[str | Path, ...] = ()
) -> None:
    """skopeo reads every blob and compares all digests."""
    copy = (*within, "skopeo", "copy", "--insecure-policy")
    run(*copy, f"oci:{layout}:layout", f"dir:{place}/dir")
    run(*copy, f"oci-archive:{archive}:loaded", f"oci:{place}/again:x")
    run(*copy, f"docker-archive:{archive}", f"dir:{place}/docker-dir")
    run(*copy, "--src-tls-verify=false", f"docker://{pushed}", f"oci:{place}/pulled:x")
    for name in ("again", "pulled"):
        (row,) = json.loads((place / name / "index.json").read_text())["manifests"]
        if row["digest"] != digest:
            fail(f"pack: skopeo's copy {name} is {row['digest']}, expected {digest}")
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


# What podman and buildah would set by themselves is more than a machine may allow.
LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")


class Podman:
    """podman with a store of its own below `place`; `within` is what its commands begin with.

    What it knows of what runs is in `runroot`, whose path may have 50 characters at most.
    """

    def __init__(self, place: Path, runroot: Path, within: tuple[str | Path, ...] = ()) -> None:
        store = ("--root", place / "podman", "--runroot", runroot, "--storage-driver", "overlay")
        # Debian's crun refuses some hosts' control groups; the engine's own runtime is here anyway.
        how = ("--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "none")
        self.command = (*within, "podman", *how, *store)
        self.env = {**os.environ, "HOME": str(place)}

    def __call__(self, *arguments: str | Path) -> str:
        return run(*self.command, *arguments, env=self.env)

    def run(self, image: str, *command: str) -> str:
        closed = ("--network", "none", "--read-only", "--tmpfs", "/tmp")
        return self("run", "--rm", *closed, *LIMITS, image, *command)


def with_podman(place: Path, archive: Path) -> None:
    """podman loads and runs it."""
    podman = Podman(place, place / "podman-run")
    check_run(podman.run(podman("load", "--input", archive).split()[-1]), "podman")


def with_buildah(place: Path, layout: Path, within: tuple[str | Path, ...] = ()) -> None:
    """buildah begins with it and runs it."""
    store = ("--root", place / "buildah/root", "--runroot", place / "buildah/run", "--storage-driver", "overlay")
    buildah = (*within, "buildah", *store)
    container = run(*buildah, "from", "--quiet", *LIMITS, f"oci:{layout}").strip().splitlines()[-1]
    check_run(run(*buildah, "run", "--isolation", "chroot", container, "--", *COMMAND), "buildah")


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

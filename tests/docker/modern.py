"""What `venvoy pack` makes, taken by the engines of a later Debian than the machine's.

Docker with BuildKit and either of its stores, podman, buildah, skopeo, containerd with and without the stargz snapshotter:
in rooms of their own (`room.py`), with their data on the disk for as long. The images run the project's tests as user
1099, read-only, without a network.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docs
import packed as packs
from engine import Engine, daemon, fail, run
from images import WORK
from packed import COMMAND, Packed, check_run
from room import SNAPSHOTTER, room

# In a room this is in memory, and short enough for a socket's path anywhere.
SOCKETS = Path("/run/engine")


def check(docker: Engine, binary: Path, index: str, python: str) -> None:
    """All of it."""
    place = emptied(WORK / "modern")
    try:
        packed = Packed(docker, binary, index, place)
        layout, archive = place / "layout", place / "image.tar"
        with packs.registry(place) as address:
            base = packs.push_base(packed, address, "oci")
            pushed, lazy = f"{address}/team/shop:one", f"{address}/team/shop:lazy"
            digest = packed.pack("--push", pushed, base=base)
            packed.pack("--oci", layout, "--name", "packed:layout", base=base)
            packed.pack("--oci", archive, "--name", "packed:loaded", base=base)
            # From nothing: containerd fetches every layer above one that is not lazy, whatever it reads.
            packed.pack("--lazy", "--push", lazy, "--python", python, base=None)
            with engine(place, {}) as (modern, who):
                who += ", classic store"
                packs.with_docker(packed, modern, archive, pushed, digest, base, who)
                refuses_layouts(packed, modern, layout, who)
            with engine(place, {"features": {"containerd-snapshotter": True}}) as (modern, who):
                who += ", containerd store"
                packs.with_docker(packed, modern, archive, pushed, digest, base, who)
                with_layout(packed, modern, layout, base, f"{address}/team/built", who)
            without_daemon(packed, archive, layout, pushed, digest, base)
            with_containerd(place, pushed, lazy)
    finally:
        run("rm", "-rf", place)


def emptied(place: Path) -> Path:
    run("rm", "-rf", place)
    place.mkdir()
    return place


@contextmanager
def engine(place: Path, settings: dict) -> Iterator[tuple[Engine, str]]:
    """Docker in a room of its own, until the block ends, and what it calls itself."""
    data, config = emptied(place / "engine"), place / "engine.json"
    config.write_text(json.dumps(settings))
    with room(place) as inside:
        inside("mkdir", SOCKETS)
        docker = Engine(SOCKETS / "socket", inside.within)
        inside.start("engine", daemon(data, SOCKETS, config), docker.answers)
        yield docker, f"Docker {docker('version', '--format', '{{.Server.Version}}').strip()}"
    run("rm", "-rf", data)


def named(layout: Path, context: Path, file: str, text: str) -> tuple[str | Path, ...]:
    """How a build is asked for that gets the layout as `deps`."""
    (context / file).write_text(text)
    return ("--build-context", f"deps=oci-layout://{layout}:layout", "--file", context / file)


def refuses_layouts(packed: Packed, docker: Engine, layout: Path, who: str) -> None:
    """The classic store has no place for a layout's layers, and says so."""
    context = packs.build_context(packed)
    arguments = named(layout, context, "refused.Dockerfile", "FROM deps\n")
    said = docker.build(context, "packed:refused", *arguments, works=False)
    if "oci-layout" not in said:
        fail(f"pack: {who} does not say that it refuses a layout:\n{said}")
    print(f"docker: pack: {who} refuses a layout", flush=True)


def with_layout(packed: Packed, docker: Engine, layout: Path, base: str, name: str, who: str) -> None:
    """An image that begins with a layout has its layers to the byte, and files can be copied from one."""
    context = packs.build_context(packed)
    files = {"from": "FROM deps\nENV C=D\n", "copy": f"FROM {base}\n{packs.copied('deps')}"}
    for how, text in files.items():
        image = f"{name}:{how}"
        docker.build(context, image, *named(layout, context, f"layout-{how}.Dockerfile", text))
        check_run(docker.run(image, *COMMAND), f"{who}, a layout by {how},")
    docker("push", f"{name}:from")
    (row,) = json.loads((layout / "index.json").read_text())["manifests"]
    ours = json.loads((layout / "blobs" / row["digest"].replace(":", "/")).read_text())["layers"]
    theirs = manifest(f"{name}:from")["layers"]
    if [layer["digest"] for layer in theirs] != [layer["digest"] for layer in ours]:
        fail(f"pack: {who}: FROM a layout gave {theirs}, expected {ours}")
    print(f"docker: pack: {who} keeps a layout's {len(ours)} layers", flush=True)


def manifest(image: str) -> dict:
    """The manifest that the registry has."""
    raw = json.loads(run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{image}"))
    if "manifests" in raw:
        # BuildKit adds what it knows of the build as another manifest.
        digest = next(row["digest"] for row in raw["manifests"] if row["platform"]["os"] == "linux")
        return manifest(f"{image.rpartition(':')[0]}@{digest}")
    return raw


def without_daemon(packed: Packed, archive: Path, layout: Path, pushed: str, digest: str, base: str) -> None:
    """podman, buildah and skopeo take archives, layouts and what is in a registry.

    A layout is named without a tag: an image of the tag's name is what these versions look for then, in vain.
    """
    place, context = packed.place, packs.build_context(packed)
    with room(place) as inside:
        podman = packs.Podman(place, Path("/run/podman"), inside.within)
        who = podman("--version").strip()
        check_run(podman.run(podman("load", "--input", archive).split()[-1]), f"{who}, loaded,")
        for what, source in {"a layout": f"oci:{layout}", "a registry": f"docker://{pushed}"}.items():
            image = podman("pull", "--quiet", "--tls-verify=false", source).split()[-1]
            check_run(podman.run(image), f"{who}, pulled from {what},")
        podman("pull", "--quiet", "--tls-verify=false", base)
        files = {
            "from": docs.files(docs.PAGE)["layout.Dockerfile"].replace("oci:packages", f"oci:{layout}"),
            "copy": f"FROM {base}\n{packs.copied(f'oci:{layout}')}",
        }
        for how, text in files.items():
            (context / f"podman-{how}.Dockerfile").write_text(text)
            podman("build", "--tag", f"built:{how}", "--file", context / f"podman-{how}.Dockerfile", context)
            check_run(podman.run(f"built:{how}", *COMMAND), f"{who}, a layout by {how},")
        packs.with_buildah(place, layout, inside.within)
        packs.with_skopeo(emptied(place / "skopeo"), layout, archive, pushed, digest, inside.within)
    run("rm", "-rf", *(place / used for used in ("podman", "buildah", "skopeo")))


def with_containerd(place: Path, pushed: str, lazy: str) -> None:
    """containerd pulls what was pushed, and with the stargz snapshotter runs lazy layers before they are there."""
    data, socket, stargz = emptied(place / "containerd"), SOCKETS / "containerd", SOCKETS / "stargz"
    (place / "containerd.toml").write_text(
        f'version = 2\nroot = "{data}/root"\nstate = "{SOCKETS}/state"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\naddress = "{socket}"\n[ttrpc]\naddress = "{socket}.ttrpc"\n'
        f'[proxy_plugins.stargz]\ntype = "snapshot"\naddress = "{stargz}"\n'
    )
    with room(place) as inside:
        inside("mkdir", SOCKETS)

        def listens() -> bool:
            return "socket" in inside("stat", "--format", "%F", stargz, expect=None)

        def ctr(*arguments: str | Path, program: str = "ctr", expect: int | None = 0) -> str:
            return inside(program, "--address", socket, *arguments, expect=expect)

        def run_with(snapshotter: str, image: str) -> str:
            closed = ("--read-only", "--mount", "type=tmpfs,src=tmpfs,dst=/tmp,options=rw:mode=1777")
            return ctr("run", "--rm", "--snapshotter", snapshotter, *closed, image, f"by-{snapshotter}")

        inside.start("stargz", (SNAPSHOTTER, stargz, data / "stargz"), listens)
        server = ("containerd", "--config", place / "containerd.toml")
        inside.start("containerd", server, lambda: "Server:" in ctr("version", expect=None))
        who = f"containerd {inside('containerd', '--version').split()[2]}"
        ctr("images", "pull", "--plain-http", pushed)
        check_run(run_with("overlayfs", pushed), f"{who}, pulled,")
        ctr("images", "rpull", "--plain-http", lazy, program="ctr-remote")
        check_run(run_with("stargz", lazy), f"{who}, by lazy layers,")
    read, size = served(place, lazy)
    # How much it is depends on what the kernel reads ahead.
    if not 0 < read < size * 0.9:
        fail(f"pack --lazy: {who} read {read} bytes of lazy layers of {size}")
    print(f"docker: pack: {who} read {read / 1e6:.1f} of {size / 1e6:.1f} MB of lazy layers", flush=True)
    run("rm", "-rf", data)


def served(place: Path, image: str) -> tuple[int, int]:
    """How many bytes of the image's lazy layers the registry gave away, and how many they have."""
    toc = "containerd.io/snapshot/stargz/toc.digest"
    layers = manifest(image)["layers"]
    lazy = {layer["digest"]: layer["size"] for layer in layers if toc in layer.get("annotations", {})}
    given = re.findall(r'"GET /v2/\S+/blobs/(\S+) HTTP/[\d.]+" 20[06] (\d+)', (place / "registry.log").read_text())
    return sum(int(size) for digest, size in given if digest in lazy), sum(lazy.values())


if __name__ == "__main__":
    sys.exit("this is a part of tests/docker/run")

"""An environment made anew where it lies in an earlier layer of an image: `FROM prod AS dev`."""

from __future__ import annotations

import re
from pathlib import Path

import project
from engine import Engine, fail, run
from images import PYTHON
from serve import Indexes

import docs

FILE = "above.Dockerfile"
SEEN = 'RUN venvoy check && echo "it is: $(venvoy digest)" && .venv/bin/pytest --version && .venv/bin/shop\n'
DIGEST = re.compile(r"it is: sha256:([0-9a-f]{64})\b")


def digest_of(said: str, where: str) -> str:
    """The environment's digest, from what `SEEN` printed at the end of a build or of a container's command."""
    found = DIGEST.search(said)
    if not found or "pytest 8" not in said or "total 4" not in said:
        fail(f"{where}: the environment was to be seen, but:\n{said}")
    return found[1]


def check(engine: Engine, indexes: Indexes, place: Path) -> None:
    """The second `RUN` gives what one `RUN` in its place gives, with each engine, and in a container that runs."""
    above = docs.files(docs.PAGE)[FILE]
    base, _, second = above.partition("\nFROM prod AS dev\n")
    (install,) = (line for line in second.splitlines() if "venvoy install" in line)
    (first,) = (line for line in base.splitlines() if "venvoy install" in line)
    files = {
        FILE: above + SEEN,
        "fresh.Dockerfile": base.replace(first, install) + "\n" + SEEN,
        "prod.Dockerfile": base + "\n",
    }
    context = project.write(place / "above", indexes.url, files)
    digests = {}
    for name, file in (("fresh", "fresh.Dockerfile"), ("BuildKit", FILE)):
        said = engine.build(context, f"above-{name.lower()}", "--no-cache", "--file", context / file)
        digests[name] = digest_of(said, name)
    said = engine.build(context, "above-classic", "--no-cache", "--file", context / FILE, buildkit=False)
    digests["the classic builder"] = digest_of(said, "the classic builder")
    engine.build(context, "above-prod", "--file", context / "prod.Dockerfile")
    command = f"{install.removeprefix('RUN ')} && {SEEN.removeprefix('RUN ')}"
    said = engine("run", "--rm", "--network", "host", "above-prod", "sh", "-c", command)
    digests["a container"] = digest_of(said, "a container")
    digests["buildah"] = digest_of(buildah(engine, context, place), "buildah")
    for name, digest in digests.items():
        if digest != digests["fresh"]:
            fail(f"the environment of {name} is {digest}, a fresh one {digests['fresh']}")
    print(f"above: the environment is the same by {', '.join(digests)}")


def buildah(engine: Engine, context: Path, place: Path) -> str:
    """What buildah prints while it builds the file on overlay, each `RUN` a layer of its own.

    With vfs, which copies all of an image for each layer, the outcome is the same; it takes minutes.
    """
    store = place / "buildah-above"
    options = ("--root", store / "root", "--runroot", store / "run", "--storage-driver", "overlay")
    try:
        for image in (PYTHON, "venvoy"):
            archive = place / "image.tar"
            engine("save", "--output", archive, image)
            run("buildah", *options, "pull", "--quiet", f"docker-archive:{archive}")
            archive.unlink()
        build = ("bud", "--layers", "--isolation", "chroot", "--network", "host", "-f", FILE, "-t", "above", ".")
        return run("buildah", *options, *build, cwd=context)
    finally:
        run("buildah", *options, "rmi", "--all", "--force", expect=None)
        run("rm", "-rf", store, expect=None)

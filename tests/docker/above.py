"""An environment made anew where it lies in an earlier layer of an image: `FROM prod AS dev`."""

from __future__ import annotations

import re
from pathlib import Path

import buildah
import project
from engine import Engine, fail, run
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
    digests["buildah"] = digest_of(layered(engine, context, place), "buildah")
    for name, digest in digests.items():
        if digest != digests["fresh"]:
            fail(f"the environment of {name} is {digest}, a fresh one {digests['fresh']}")
    print(f"above: the environment is the same by {', '.join(digests)}")


def layered(engine: Engine, context: Path, place: Path) -> str:
    """What buildah prints while it builds the file, each `RUN` a layer of its own."""
    build = ("bud", "--layers", "--isolation", "chroot", "--network", "host", "-f", FILE, "-t", "above", ".")
    with buildah.store(engine, place) as options:
        return run("buildah", *options, *build, cwd=context)

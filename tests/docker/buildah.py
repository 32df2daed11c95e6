"""buildah, which builds without a daemon, with a store of its own for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine import Engine, run
from images import PYTHON


@contextmanager
def store(engine: Engine, place: Path) -> Iterator[tuple[str | Path, ...]]:
    """The options for a store that has the images that the documentation's files begin with, until the block ends.

    It is on overlay: with vfs, which copies all of an image for each layer, the outcome is the same, and takes minutes.
    """
    store = place / "buildah"
    options = ("--root", store / "root", "--runroot", store / "run", "--storage-driver", "overlay")
    try:
        for image in (PYTHON, "venvoy"):
            archive = place / "image.tar"
            engine("save", "--output", archive, image)
            run("buildah", *options, "pull", "--quiet", f"docker-archive:{archive}")
            archive.unlink()
        yield options
    finally:
        run("buildah", *options, "rm", "--all", expect=None)
        run("buildah", *options, "rmi", "--all", "--force", expect=None)
        run("rm", "-rf", store, expect=None)

"""The images of `docs/gitlab.md` that are built from a warmed cache: by an engine that knows named contexts, and by one that does not."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from pathlib import Path

import buildah
import gitlab
import project
import yaml
from engine import Engine, fail, run
from serve import Indexes

import docs

TARGET = ("--python-version", "3.9", "--platform", "linux/amd64")
# What the images hold is what the lock names.
COMMAND = ("python", "-c", "import flask, numpy; print('it runs')")


def check(engine: Engine, binary: Path, indexes: Indexes, place: Path) -> None:
    """Builds both from the cache that the job has, Docker without a network."""
    files = docs.files(gitlab.PAGE)
    files = {"Dockerfile": files["warm.Dockerfile"], "context.Dockerfile": files["warm-context.Dockerfile"]}
    context = project.write(place / "warmed", indexes.url, files, own=False)
    known_files_only(context / "Pipfile.lock", indexes)
    (place / "empty").mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(place / "empty"), "CI": "true"}
    run(binary, "warm", "--all-categories", *TARGET, "--cache-dir", context / ".cache/venvoy", cwd=context, env=env)
    run(binary, "cache", "prune", "--ci", "--keep-locks", ".", "--cache-dir", context / ".cache/venvoy", cwd=context, env=env)
    by_context(engine, context)
    by_name(engine, context, place)
    print("warmed: both images were built from the warmed cache, Docker's without a network")


def known_files_only(lock: Path, indexes: Indexes) -> None:
    """Leaves the lock the files that the index has, as an index of all files would have it: what a record does not account for is asked for."""
    files = (path for path in (indexes.place / "open").rglob("*") if path.suffix in (".whl", ".gz", ".zip") and path.is_file())
    served = {f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files}
    contents = json.loads(lock.read_text())
    for category in ("default", "develop"):
        for entry in contents[category].values():
            entry["hashes"] = [digest for digest in entry["hashes"] if digest in served]
    lock.write_text(json.dumps(contents, indent=4) + "\n")


def by_context(engine: Engine, context: Path) -> None:
    """Docker 20.10 binds a directory of the build's own context."""
    arguments = ("--network", "none", "--progress", "plain", "--no-cache", "--file", context / "context.Dockerfile")
    said = engine("build", *arguments, "--tag", "warmed", context)
    if "is passed over" in said:
        fail(f"the warmed cache was not used:\n{said}")
    if "it runs" not in engine.run("warmed", *COMMAND):
        fail("the image from a warmed cache does not run")
    layers = engine("history", "--no-trunc", "--format", "{{.Size}} {{.CreatedBy}}", "warmed")
    if ".cache" in layers:
        fail(f"the cache is in a layer:\n{layers}")
    engine("image", "rm", "warmed")


def by_name(engine: Engine, context: Path, place: Path) -> None:
    """buildah knows named contexts; the words are those of the job's line."""
    pipeline = yaml.safe_load(docs.files(gitlab.PAGE)["warm.gitlab-ci.yml"])
    line = next(line for line in pipeline["image"]["script"] if line.startswith("docker build "))
    words = shlex.split(line.replace("$CI_REGISTRY_IMAGE:$CI_COMMIT_SHORT_SHA", "localhost/warmed:1"))
    with buildah.store(engine, place) as options:
        # Without a container, as where cgroups are not to be had, and so with this machine's network.
        run("buildah", *options, words[1], "--isolation", "chroot", *words[2:], cwd=context)
        container = run("buildah", *options, "from", "--quiet", "localhost/warmed:1").strip().splitlines()[-1]
        if "it runs" not in run("buildah", *options, "run", "--isolation", "chroot", container, "--", *COMMAND):
            fail("buildah's image from a warmed cache does not run")

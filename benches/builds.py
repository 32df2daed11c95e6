"""From a lock to a pushed image by `docker build`: Dockerfiles of uv and of pipenv, as both are commonly written.

The engine is Debian's, started for this alone, and its base the tests' stand-in for the official image (`tests/docker`). Builds
reach the index and the registry on loopback.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import lockfile
import peers
from measure import measure
from registry import Registry
from server import Server
from workspace import BENCH, REPOSITORY

sys.path.insert(1, str(REPOSITORY / "tests" / "docker"))
import engine as engines  # noqa: E402
import images  # noqa: E402

BASE = "python:3.11-slim"
# pipenv and what it needs, for the image.
TOOLS = BENCH / "pipenv"

# The password is in a file that no layer gets, and the cache is kept from build to build.
MOUNTS = "--mount=type=secret,id=netrc --mount=type=cache,target=/root/.cache"
DOCKERFILES = {
    "uv": """\
FROM {base} AS packages
COPY uv /usr/local/bin/
WORKDIR /app
COPY requirements.txt ./
ENV NETRC=/run/secrets/netrc UV_LINK_MODE=copy
RUN {mounts} uv venv --quiet /.venv && uv pip sync --quiet --require-hashes --python /.venv/bin/python \\
    --default-index {index} requirements.txt

FROM {base}
COPY --from=packages /.venv /.venv
ENV PATH=/.venv/bin:/usr/local/bin:/usr/bin:/bin
""",
    "pipenv": """\
FROM {base} AS packages
COPY tools /tools
RUN pip install --quiet --no-index --find-links /tools pipenv
WORKDIR /app
COPY Pipfile Pipfile.lock ./
ENV NETRC=/run/secrets/netrc PIPENV_VENV_IN_PROJECT=1
RUN {mounts} pipenv install --deploy

FROM {base}
COPY --from=packages /app/.venv /.venv
ENV PATH=/.venv/bin:/usr/local/bin:/usr/bin:/bin
""",
}


@dataclass(frozen=True)
class Pushed:
    """One image: seconds to build it and to push it, and how many bytes the registry got."""

    build: float
    push: float
    sent: int

    @property
    def wall(self) -> float:
        return self.build + self.push


def tools(interpreter: str) -> Path:
    """pipenv's wheels, fetched once."""
    if not (TOOLS / "complete").exists():
        command = [peers.program("pip"), "--python", interpreter, "download", "--quiet", "--dest", str(TOOLS), "pipenv"]
        subprocess.run(command, check=True)
        (TOOLS / "complete").touch()
    return TOOLS


@contextmanager
def engine(place: Path, interpreter: str, registry: Registry) -> Iterator[engines.Engine]:
    """A running engine, which has the base as it is in the registry."""
    if not engines.DOCKERD.exists():
        sys.exit("Debian's docker.io is needed for images that are built; --only leaves them out")
    images.WORK.mkdir(parents=True, exist_ok=True)
    with engines.start(place) as docker:
        base = f"{registry.name}/{BASE}"
        images.import_interpreter(docker, str(Path(interpreter).resolve()), base)
        docker("push", "--quiet", base)
        yield docker


def contexts(place: Path, tool: str, projects: dict[str, Path], base: str, index: str, interpreter: str) -> dict[str, Path]:
    """For each project a directory with a Dockerfile and what that copies."""
    made = {}
    for name, project in projects.items():
        context = made[name] = place / name
        context.mkdir(parents=True)
        text = DOCKERFILES[tool].format(base=base, mounts=MOUNTS, index=index)
        (context / "Dockerfile").write_text(text)
        for file in ["Pipfile", "Pipfile.lock"]:
            shutil.copy(project / file, context / file)
        (context / "requirements.txt").write_text(lockfile.requirements(lockfile.read_lock(project)))
        if tool == "uv":
            shutil.copy(peers.program("uv"), context / "uv")
        else:
            shutil.copytree(tools(interpreter), context / "tools")
    return made


class Builder:
    """Builds and pushes images of one tool."""

    def __init__(self, docker: engines.Engine, registry: Registry, tool: str, server: Server, log: Path) -> None:
        self.docker, self.registry, self.tool, self.server, self.log = docker, registry, tool, server, log
        self.variables = docker.env | {"DOCKER_BUILDKIT": "1"}

    def image(self, context: Path, *arguments: str) -> Pushed:
        name = f"{self.registry.name}/{self.tool}/app:{context.name}"
        build = [str(engines.DOCKER), "build", *engines.BUILD, "--progress", "plain", "--tag", name]
        build += ["--secret", f"id=netrc,src={self.server.netrc}", *arguments, str(context)]
        built = measure([build], context, self.variables, self.log).wall
        had = self.registry.holds()
        pushed = measure([[str(engines.DOCKER), "push", "--quiet", name]], context, self.variables, self.log).wall
        return Pushed(built, pushed, self.registry.holds() - had)

    def fill(self, context: Path) -> None:
        """Builds once, so that the tool's cache is full, and drops what came of it."""
        name = "filled"
        build = ["build", *engines.BUILD, "--tag", name, "--secret", f"id=netrc,src={self.server.netrc}"]
        self.docker(*build, "--target", "packages", context)
        self.docker("image", "rm", name)
        self.docker("builder", "prune", "--force", "--filter", "type=regular")

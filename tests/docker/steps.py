"""The image builds of `docs/docker.md`, in the page's order."""

from __future__ import annotations

import base64
import json
import re
import shlex
import time
from dataclasses import dataclass, field
from pathlib import Path

import buildah
import checks
import project
from engine import Engine, fail, run
from images import REPOSITORY, WORK
from serve import PASSWORD, PRIVATE_HOST, USER, Indexes

import docs

SCRIPTS = {"shop", "black", "pytest", "flask", "f2py"}


@dataclass
class Steps:
    """An engine, indexes, a place for projects, and the times so far."""

    engine: Engine
    indexes: Indexes
    wheel: Path
    place: Path
    times: list[tuple[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.files = docs.files(docs.PAGE)
        self.project = project.write(self.place / "project", self.indexes.url, self.files)

    def build(
        self,
        name: str,
        context: Path,
        tag: str,
        file: str,
        *options: str,
        named: dict[str, str] | None = None,
        keep: bool = False,
    ) -> str:
        """Builds one of the page's files and notes the times.

        What earlier builds left is not used; with `keep` it is, as cache mounts are among it.
        """
        start = time.monotonic()
        fresh = () if keep else ("--no-cache",)
        said = self.engine.build(context, tag, *fresh, "--file", context / file, *options)
        for title, instruction in (named or {}).items():
            number = re.search(rf"^#(\d+) \[.*\] RUN .*{re.escape(instruction)}", said, re.M)
            took = number and re.search(rf"^#{number[1]} DONE ([\d.]+)s", said, re.M)
            if not took:
                fail(f"{file}: the build does not say how long {instruction!r} took:\n{said}")
            self.note(f"{name}: {title}", float(took[1]))
        self.note(f"{name}: the whole build", time.monotonic() - start)
        return said

    def note(self, step: str, seconds: float) -> None:
        print(f"docker: {step}: {seconds:.1f} s", flush=True)
        self.times.append((step, seconds))

    def before(self) -> None:
        """The classic Dockerfile builds, and what it makes is broken as the page says."""
        named = {"`pip install pipenv`, gcc": "pip install pipenv", "`pipenv install`": "pipenv install"}
        self.build("before", self.project, "before", "before.Dockerfile", named=named)
        engine = self.engine
        said = engine.run("before", expect=None)
        if "exec /.venv/bin/shop: no such file or directory" not in said:
            fail(f"shop was to be missing in the classic image, but: {said}")
        seen = checks.look_inside(engine, "before")
        if "No module named 'shop'" not in seen["shop"]:
            fail(f"shop was imported in the classic image: {seen['shop']}")
        if not seen["scripts"] or set(seen["broken"]) != set(seen["scripts"]):
            fail(f"scripts that work in the classic image: {set(seen['scripts']) - set(seen['broken'])}")
        if "pytest 8" not in engine.run("before", "python", "-m", "pytest", "--version"):
            fail("python -m pytest was to work in the classic image")
        print(
            f"docker: before: shop is not found, {len(seen['broken'])} of {len(seen['scripts'])} scripts are broken"
        )

    def after(self) -> None:
        """The same with one line changed works."""
        before, after = (self.files[f"{name}.Dockerfile"].splitlines() for name in ("before", "after"))
        gone, come = [x for x in before if x not in after], [x for x in after if x not in before]
        if len(gone) != 2 or "gcc" not in gone[0] or len(come) != 2 or not come[0].startswith("COPY --from=venvoy"):
            fail(f"more than one line differs between before and after: {gone} {come}")
        self.build("after", self.project, "after", "after.Dockerfile", named={"`venvoy install`": "venvoy install"})
        checks.works(self.engine, "after", SCRIPTS)
        checks.tests_pass(self.engine, "after")
        checks.nothing_tries_to_write(self.engine, "after", self.place)

    def readme(self) -> None:
        """README's example, for a project without packages of its own."""
        context = project.write(
            self.place / "readme", self.indexes.url, {"Dockerfile": docs.readme()["after"]}, own=False
        )
        netrc = context / "netrc"
        netrc.write_text(f"machine {PRIVATE_HOST} login {USER} password {PASSWORD}\n")
        self.engine.build(context, "readme", "--no-cache", "--secret", f"id=netrc,src={netrc}")
        if "Flask" not in self.engine.run("readme", "flask", "--version"):
            fail("flask does not run in README's image")

    def system(self) -> None:
        """README's first Dockerfile gives what `pipenv install --system --deploy` gives, and pip goes on working."""
        ours = docs.readme()["system"]
        lines = ours.splitlines()
        (install,) = (line for line in lines if "venvoy install" in line)
        theirs = [
            "RUN pip install pipenv" if line.startswith("COPY --from=venvoy") else line for line in lines
        ]
        theirs[theirs.index(install)] = "RUN pipenv install --system --deploy"
        files = {"Dockerfile": ours, "pipenv.Dockerfile": "\n".join(theirs) + "\n"}
        context = project.write(self.place / "system", self.indexes.url, files, own=False)
        self.engine.build(context, "system", "--no-cache")
        self.engine.build(context, "system-pipenv", "--no-cache", "--file", context / "pipenv.Dockerfile")
        names = sorted(json.loads((context / "Pipfile.lock").read_text())["default"])
        seen = [
            json.loads(self.engine.run(image, "python", "-c", checks.INSTALLED, *names))
            for image in ("system", "system-pipenv")
        ]
        for name in names:
            if not seen[0][name] or seen[0][name] != seen[1][name]:
                fail(f"--system: {name} is {seen[0][name]}, with pipenv {seen[1][name]}")
        if "Flask" not in self.engine.run("system", "flask", "--version"):
            fail("flask does not run in README's first image")
        listed = self.engine.run("system", "python", "-m", "pip", "list", "--format=json")
        known = {one["name"].lower().replace("_", "-").replace(".", "-") for one in json.loads(listed.splitlines()[0])}
        if missing := set(names) - known:
            fail(f"--system: pip does not list {missing}")
        self.engine.run("system", "python", "-m", "pip", "check")
        print(f"docker: system: {len(names)} packages have the files that pipenv installs, and pip works")

    def private(self) -> None:
        """A cache mount and a secret mount: the private package is there, the secret is not."""
        private = (self.indexes.private_url, self.wheel)
        context = project.write(self.place / "private", self.indexes.url, self.files, private=private)
        home = self.place / "home"
        home.mkdir()
        (home / ".netrc").write_text(f"machine {PRIVATE_HOST} login {USER} password {PASSWORD}\n")
        self.engine("builder", "prune", "--force", "--filter", "type=exec.cachemount")
        (secret,) = re.findall(r"--secret (\S+)", self.files["private.sh"])
        options = (
            "--secret",
            secret.replace('"', "").replace("$HOME", str(home)),
            "--add-host",
            f"{PRIVATE_HOST}:127.0.0.1",
        )
        named = {"`venvoy install`": "venvoy install"}
        file = "private.Dockerfile"
        self.build("BuildKit, cache mount empty", context, "private", file, *options, named=named, keep=True)
        # What else is asked of it: pip looks for the project's build requirements in all sources.
        asked = [line for line in self.indexes.private_requests() if "shop" in line]
        if not any(line.startswith(f"200 {USER} /files/shop_prices") for line in asked):
            fail(f"the private index was asked {asked}")
        if any(line.startswith("401") for line in asked):
            fail(f"the private index was asked without the password first: {asked}")
        # Another project: the layers are made anew.
        with (context / "setup.py").open("a") as changed:
            changed.write("# Changed.\n")
        self.build("BuildKit, cache mount full", context, "private", file, *options, named=named, keep=True)
        if again := [line for line in self.indexes.private_requests() if "shop" in line][len(asked) :]:
            fail(f"with a full cache the private index was asked again: {again}")
        said = self.engine.run(
            "private", "python", "-c", "import shop_prices; print(shop_prices.SECRET_OF_THE_TRADE)"
        )
        if said.strip() != "buy low":
            fail(f"the private package said {said}")
        self.engine.build(context, "private-deps", "--file", context / file, "--target", "python-deps", *options)
        encoded = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        checks.secret_is_nowhere(self.engine, ["private", "private-deps"], [PASSWORD, encoded], self.place)

    def reproducible(self) -> None:
        """Built again, and by another user in another place: the layer is the same."""
        builds = [("same", "same.Dockerfile"), ("again", "same.Dockerfile"), ("elsewhere", "elsewhere.Dockerfile")]
        titles = ("the same layer", "the same layer, again", "the same layer, by another user elsewhere")
        for title, (image, file) in zip(titles, builds, strict=True):
            self.build(title, self.project, image, file)
        made = {image: checks.environment(self.engine, image, self.place) for image, _ in builds}
        for image, layer in made.items():
            if layer.digest != made["same"].digest:
                fail(f"the environment's layer in {image} is another: {layer.differences(made['same'])[:20]}")
        # The plain COPY differs in the one time that the page names, and in nothing else.
        after = checks.environment(self.engine, "after", self.place)
        if set(after.differences(made["same"])) - {".venv"}:
            fail(f"COPY to /.venv and COPY to / differ in {after.differences(made['same'])[:20]}")
        print(f"docker: reproducible: three builds have the layer {made['same'].digest}")

    def layers(self) -> None:
        """After an edited line, one layer is new, and it holds what belongs to the project."""
        context = project.write(self.place / "layers", self.indexes.url, self.files)
        file = "layers.Dockerfile"
        self.build("dependencies first", context, "layers", file)
        first = self.engine.layers("layers")
        (source,) = sorted((context / "src").rglob("__init__.py"))
        with source.open("a") as changed:
            changed.write("# Changed.\n")
        self.build("dependencies first, a line edited", context, "layers", file, keep=True)
        checks.works(self.engine, "layers", {"shop", "flask", "f2py"})
        second = self.engine.layers("layers")
        # The project's own files, and what became of them.
        if len(first) != len(second) or first[:-2] != second[:-2] or first[-1] == second[-1]:
            fail(f"layers of the first build and of the second: {first} {second}")
        names = checks.last_layer(self.engine, "layers", self.place)
        alien = [name for name in names if "shop" not in name and not name.endswith("/venvoy.manifest")]
        if alien or not any(name.endswith("shop/__init__.py") for name in names):
            fail(f"the layer of --only-install-local holds {alien or names}")
        print(f"docker: layers: the last one holds {len(names)} files")

    def distroless(self) -> None:
        """An image without a shell."""
        self.build("without a shell", self.project, "distroless", "distroless.Dockerfile")
        checks.works(self.engine, "distroless", {"shop", "flask", "f2py"})
        if "no such file or directory" not in self.engine.run("distroless", "/bin/sh", expect=127):
            fail("there is a shell in the image without one")

    def buildah(self) -> None:
        """The same file, built by buildah without a daemon."""
        command = shlex.split(self.files["buildah.sh"])
        archive = self.place / "image.tar"
        with buildah.store(self.engine, self.place) as options:
            start = time.monotonic()
            run("buildah", *options, *command[1:2], "--network", "host", *command[2:], cwd=self.project)
            self.note("buildah: the whole build", time.monotonic() - start)
            run("buildah", *options, "push", "--quiet", "shop", f"docker-archive:{archive}:buildah:latest")
        self.engine("load", "--input", archive)
        archive.unlink()
        checks.works(self.engine, "buildah", SCRIPTS)
        ours, docker = (checks.environment(self.engine, image, self.place) for image in ("buildah", "after"))
        if set(ours.differences(docker)) - {".venv"}:
            fail(f"buildah's environment and Docker's differ in {ours.differences(docker)[:20]}")


def build_venvoy(engine: Engine) -> Path:
    """Builds the image of the repository's Dockerfile; gives the binary from it."""
    engine.build(REPOSITORY, "venvoy")
    if engine("image", "inspect", "--format", "{{json .Config.Entrypoint}}", "venvoy").strip() != '["/venvoy"]':
        fail("the image of venvoy does not start venvoy")
    container = engine("create", "--network", "none", "venvoy").strip()
    binary = WORK / "venvoy"
    engine("cp", f"{container}:/venvoy", binary)
    engine("rm", container)
    return binary

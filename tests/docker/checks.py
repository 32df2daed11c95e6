"""What is true of an image made from the documentation's files."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

from engine import Engine, fail, run
from images import HERE

# Calls that change a file system, and what makes an `open` one of them.
CHANGES = re.compile(
    r"(?<![a-z])(mkdir|rmdir|unlink|rename|link|symlink|mknod|chmod|chown|truncate|utime|setxattr|removexattr)\w*\("
    r"|O_(WRONLY|RDWR|CREAT|TRUNC|APPEND)"
)

# Run inside an image with names of distributions: the digest of each file that is the distribution's own. What an
# installer writes of itself is left out, and of scripts it is the name that counts.
INSTALLED = """
import hashlib, importlib.metadata, json, sys
found = {}
for name in sys.argv[1:]:
    found[name] = files = {}
    for file in importlib.metadata.files(name):
        if file.suffix == ".pyc" or file.name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
            continue
        script = ".." in file.parts
        files[str(file)] = "script" if script else hashlib.sha256(file.locate().read_bytes()).hexdigest()
print(json.dumps(found))
"""


def look_inside(engine: Engine, image: str) -> dict:
    """What `inside.py` sees in the image, as user 1099 without a network and with a read-only root."""
    program = (HERE / "inside.py").read_text()
    options = ("--user", "1099", "--workdir", "/")
    return json.loads(engine.run(image, "/.venv/bin/python", "-c", program, "/.venv", options=options))


def last_layer(engine: Engine, image: str, place: Path) -> list[str]:
    """The files in the image's last layer, directories left out."""
    archive = place / "last-layer.tar"
    engine("save", "--output", archive, image)
    with tarfile.open(archive) as saved:
        (manifest,) = json.load(saved.extractfile("manifest.json"))
        with tarfile.open(fileobj=saved.extractfile(manifest["Layers"][-1])) as layer:
            names = [member.name for member in layer if not member.isdir()]
    archive.unlink()
    return names


def works(engine: Engine, image: str, scripts: set[str]) -> None:
    """The image's environment works for user 1099, who cannot change it."""
    seen = look_inside(engine, image)
    if seen["user"] != 1099 or seen["broken"] or seen["writable"]:
        fail(f"{image}: {json.dumps(seen, indent=1)}")
    if missing := scripts - set(seen["scripts"]):
        fail(f"{image} lacks the scripts {sorted(missing)}")
    if seen["shop"] != "/.venv/lib/python3.9/site-packages/shop/__init__.py":
        fail(f"{image} imports shop from {seen['shop']}")
    said = engine.run(image, options=("--user", "1099"))
    if said.strip() != "total 4 from /.venv/lib/python3.9/site-packages/shop":
        fail(f"{image}: its command said {said!r}")


def tests_pass(engine: Engine, image: str) -> None:
    """The project's own tests pass in the image."""
    said = engine.run(image, "pytest", "-q", "-p", "no:cacheprovider", "tests")
    if "3 passed" not in said:
        fail(f"{image}: pytest said {said}")


def nothing_tries_to_write(engine: Engine, image: str, place: Path) -> None:
    """Traces the image's programs: none tries to change anything in `/.venv`."""
    root = place / "traced"
    engine.unpack(image, root)
    for device, minor in (("null", "3"), ("urandom", "9")):
        (root / "dev" / device).unlink(missing_ok=True)
        run("mknod", "-m", "666", root / "dev" / device, "c", "1", minor)
    quiet = {"PATH": "/.venv/bin:/usr/local/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    for command in (["shop"], ["black", "--version"], ["pytest", "-q", "-p", "no:cacheprovider", "/srv/tests"]):
        if tried := traced(root, quiet, command):
            fail(f"{image}: {command[0]} tried to change the environment:\n" + "\n".join(tried[:20]))
    # So that the check is one: without the image's variable Python does try.
    if not traced(root, {"PATH": quiet["PATH"]}, ["shop"]):
        fail("the trace does not show what Python writes")
    run("rm", "-rf", root)


def traced(root: Path, env: dict[str, str], command: list[str]) -> list[str]:
    """The attempts of a command, run as user 1099, to change something in `/.venv`."""
    log = root.with_suffix(".strace")
    chroot = shutil.which("chroot") or "/usr/sbin/chroot"
    strace = (shutil.which("strace"), "-f", "-qq", "-e", "trace=%file", "-o", log)
    run(*strace, chroot, "--userspec=1099:1099", root, *command, env=env)
    return [line for line in log.read_text().splitlines() if '"/.venv' in line and CHANGES.search(line)]


def secret_is_nowhere(engine: Engine, images: list[str], secrets: list[str], place: Path) -> None:
    """No layer, configuration or history of the images holds any of the secrets."""
    for image in images:
        archive = place / "saved.tar"
        engine("save", "--output", archive, image)
        kept = archive.read_bytes() + engine("history", "--no-trunc", "--format", "{{json .}}", image).encode()
        archive.unlink()
        if found := [secret for secret in secrets if secret.encode() in kept]:
            fail(f"{image} holds {len(found)} of the build's secrets")
        if b"shop_prices" not in kept:
            fail(f"{image} was to hold the private package")


@dataclass
class Layer:
    """A layer of an image."""

    digest: str
    # What a name stands for: kind, mode, owner, time, target of a link, and the digest of its bytes.
    members: dict[str, tuple]

    def differences(self, other: Layer) -> list[str]:
        """What is not the same in both, or only in one."""
        names = self.members.keys() | other.members.keys()
        return sorted(name for name in names if self.members.get(name) != other.members.get(name))


def environment(engine: Engine, image: str, place: Path) -> Layer:
    """The image's layer with `/.venv`, which holds nothing else."""
    archive = place / "layers.tar"
    engine("save", "--output", archive, image)
    found = []
    with tarfile.open(archive) as saved:
        manifest = json.load(saved.extractfile("manifest.json"))
        for digest, name in zip(engine.layers(image), manifest[0]["Layers"], strict=True):
            with tarfile.open(fileobj=saved.extractfile(name)) as layer:
                if any(member.name.removeprefix("./") == ".venv" for member in layer):
                    found.append(
                        Layer(digest, {member.name.removeprefix("./"): facts(layer, member) for member in layer})
                    )
    archive.unlink()
    if len(found) != 1:
        fail(f"{image} has the environment in {len(found)} layers")
    if others := [name for name in found[0].members if not (name == ".venv" or name.startswith(".venv/"))]:
        fail(f"{image}: the environment's layer also holds {others[:10]}")
    return found[0]


def facts(layer: tarfile.TarFile, member: tarfile.TarInfo) -> tuple:
    """All that a member of a layer is."""
    content = layer.extractfile(member) if member.isreg() else None
    digest = hashlib.sha256(content.read()).hexdigest() if content else ""
    return (member.type, member.mode, member.uid, member.gid, member.mtime, member.linkname, digest)

"""The wheel for `pip install venvoy`: built by maturin in the image of the `build` stage, so with the same binary."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import zipfile
from pathlib import Path

from engine import Engine, fail, run
from images import REPOSITORY

# What the static binary may be installed on: any glibc since 2.17, and any musl since 1.1, as it uses neither.
# maturin knows that only of binaries for a musl target, so the second tag is added to what it made.
GLIBC, MUSL = "manylinux2014", "musllinux_1_1"


def build(engine: Engine, binary: Path, place: Path) -> Path:
    """The wheel; checks its tags, and that it holds the binary of the image."""
    engine.build(REPOSITORY, "venvoy-build", "--target", "build")
    out = place / "wheels"
    out.mkdir()
    maturin = Path(os.environ.get("VENVOY_TEST_TOOLS", REPOSITORY / "target/tools/bin")) / "maturin"
    given = [f"{maturin}:/usr/local/bin/maturin:ro", f"{out}:/out"]
    given += [
        f"{REPOSITORY / name}:/src/{name}:ro"
        for name in ("pyproject.toml", "README.md", "LICENSE-MIT", "LICENSE-APACHE")
    ]
    host = re.search(r"^host: (\S+)$", run("rustc", "-vV", cwd=REPOSITORY), re.M)[1]
    command = [
        "maturin",
        "build",
        "--release",
        "--locked",
        "--target",
        host,
        "--out",
        "/out",
        "--compatibility",
        GLIBC,
    ]
    volumes = [part for volume in given for part in ("--volume", volume)]
    flags = ("--env", "RUSTFLAGS=-C target-feature=+crt-static", "--network", "none")
    said = engine("run", "--rm", *flags, *volumes, "venvoy-build", *command)
    machine = platform.machine()
    tools = maturin.parent
    run(tools / "python", "-m", "wheel", "tags", "--remove", f"--platform-tag=+{MUSL}_{machine}", *out.glob("*.whl"))
    wheels = list(out.glob("*.whl"))
    tags = f"py3-none-manylinux2014_{machine}.manylinux_2_17_{machine}.musllinux_1_1_{machine}"
    if len(wheels) != 1 or not wheels[0].name.endswith(f"-{tags}.whl"):
        fail(f"maturin built {[wheel.name for wheel in wheels]}, expected tags {tags}\n{said}")
    with zipfile.ZipFile(wheels[0]) as archive:
        (script,) = [name for name in archive.namelist() if name.endswith(".data/scripts/venvoy")]
        if archive.read(script) != binary.read_bytes():
            fail("the wheel's binary is not the image's")
    return wheels[0]


def check(wheel: Path, place: Path) -> None:
    """`pip install venvoy`, and venvoy makes an environment from there."""
    venv, project = place / "pip", place / "hello"
    run("python3", "-m", "venv", venv)
    pip = (venv / "bin/pip", "--disable-pip-version-check", "install", "--quiet")
    run(*pip, "--no-index", "--find-links", wheel.parent, "venvoy")
    shutil.copytree(REPOSITORY / "fixtures/hello", project)
    venvoy = venv / "bin/venvoy"
    run(
        venvoy, "sync", "--python", venv / "bin/python", "--no-index", "--find-links", project / "wheels", cwd=project
    )
    run(project / ".venv/bin/hello")
    (metadata,) = venv.glob("lib/python3*/site-packages/venvoy-*.dist-info/METADATA")
    cargo = json.loads(run("cargo", "metadata", "--no-deps", "--format-version", "1", "--offline", cwd=REPOSITORY))
    if f"\nVersion: {cargo['packages'][0]['version']}\n" not in metadata.read_text():
        fail(f"the wheel's version is not Cargo.toml's:\n{metadata.read_text()[:500]}")
    print(f"wheel: {wheel.name} installs and runs")

"""The images that the Dockerfiles of the documentation begin with, made here as no registry can be asked.

| tag | stand-in |
|---|---|
| `python:3.9-slim` | Debian from debootstrap, the machine's CPython 3.9 in /usr/local, pip from ensurepip |
| `rust:1.95` | Debian from debootstrap, gcc, the machine's Rust and the crates it has downloaded |
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from engine import Engine, fail, run

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
WORK = REPOSITORY / "target" / "docker"
PYTHON, RUST = "python:3.9-slim", "rust:1.95"
# What is of no use in an image, as in the official one.
LEFT_OUT = (
    "__pycache__",
    "site-packages",
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtledemo",
    "_tkinter.*",
    "config-*",
)


def machine_release() -> str:
    return re.search(r"^VERSION_CODENAME=(\w+)$", Path("/etc/os-release").read_text(), re.M)[1]


def mirror() -> str:
    """The mirror this machine installs from."""
    sites = run("apt-get", "indextargets", "--format", "$(CODENAME) $(SITE)").split("\n")
    return next(line.split()[1] for line in sites if line.startswith(f"{machine_release()} "))


def debian() -> Path:
    """A Debian of this machine's release, as a tar archive."""
    release = machine_release()
    archive = WORK / f"debian-{release}.tar"
    if not archive.exists():
        root = WORK / "debian"
        shutil.rmtree(root, ignore_errors=True)
        run("debootstrap", "--variant=minbase", "--include=ca-certificates,passwd", release, root, mirror())
        shutil.rmtree(root / "var/cache/apt/archives")
        pack(root, archive)
    return archive


def pack(root: Path, archive: Path) -> None:
    """Moves a tree into an archive."""
    part = archive.with_suffix(".part")
    run("tar", "-C", root, "--one-file-system", "-cf", part, ".")
    part.rename(archive)
    shutil.rmtree(root)


def libraries(*files: Path) -> set[Path]:
    """The shared libraries the files are linked with."""
    said = subprocess.run(["ldd", *map(str, files)], text=True, capture_output=True).stdout
    return {Path(found) for found in re.findall(r"(?:=> |^\s+)(/\S+) \(0x", said, re.M)}


def python(interpreter: str) -> Path:
    """Debian with the interpreter (`python3.N` in the `bin` of its prefix) in /usr/local, as a tar archive."""
    program = Path(interpreter).resolve()
    prefix, name = program.parent.parent, program.name
    system = debian()
    key = hashlib.sha256(f"{prefix} {system.stat().st_mtime_ns}".encode() + Path(__file__).read_bytes())
    archive = WORK / f"python-{key.hexdigest()[:16]}.tar"
    if archive.exists():
        return archive
    root = WORK / "python"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    run("tar", "-C", root, "-xf", system)
    local = root / "usr/local"
    skip = shutil.ignore_patterns(*LEFT_OUT)
    shutil.copytree(prefix / "lib", local / "lib", symlinks=True, ignore=skip, dirs_exist_ok=True)
    shutil.copytree(prefix / "include", local / "include", symlinks=True, dirs_exist_ok=True)
    shutil.copy(program, local / "bin" / name)
    for link in ("python", "python3"):
        (local / "bin" / link).symlink_to(name)
    for module in (local / "lib" / name).glob("_sysconfigdata*.py"):
        module.write_text(module.read_text().replace(str(prefix), "/usr/local"))
    linked = libraries(local / "bin" / name, *local.glob("lib/**/*.so*"))
    for library in linked:
        if not any(
            (root / place / library.name).exists() for place in ("usr/local/lib", "usr/lib/x86_64-linux-gnu", "lib64")
        ):
            shutil.copy(library, local / "lib" / library.name)
    run("chroot", root, "ldconfig")
    clean = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    run("chroot", root, "python3", "-m", "ensurepip", env=clean)
    (local / "bin/pip").symlink_to("pip3")
    for earlier in WORK.glob("python-*.tar"):
        earlier.unlink()
    pack(root, archive)
    return archive


def import_interpreter(engine: Engine, interpreter: str, tag: str, more: tuple[str, ...] = ()) -> None:
    """Makes an image of Debian with the interpreter, with these changes, too."""
    changes = ["ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "ENV LANG=C.UTF-8"]
    # As the official image says which Python it has.
    version = run(interpreter, "-c", "import platform; print(platform.python_version())").strip()
    changes += [f"ENV PYTHON_VERSION={version}", *more, 'CMD ["python3"]']
    flags = [part for change in changes for part in ("--change", change)]
    engine("import", *flags, python(interpreter), tag)


def import_python(engine: Engine, interpreter: str, index: str, authority: Path) -> None:
    """Makes `python:3.9-slim`; its pip asks the index of the tests, and a company's CA is trusted."""
    import_interpreter(
        engine, interpreter, PYTHON, (f"ENV PIP_INDEX_URL={index} PIP_DISABLE_PIP_VERSION_CHECK=1",)
    )
    context = authority.parent / "authority"
    context.mkdir()
    shutil.copy(authority, context / "company.crt")
    (context / "Dockerfile").write_text(
        f"FROM {PYTHON}\nCOPY company.crt /usr/local/share/ca-certificates/\nRUN update-ca-certificates\n"
        "ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt\n"
    )
    engine.build(context, PYTHON, "--no-cache")


def import_rust(engine: Engine) -> None:
    """Makes `rust:1.95`, unless it is there."""
    toolchain = Path(run("rustc", "--print", "sysroot", cwd=REPOSITORY).strip())
    changes = ["ENV PATH=/usr/local/cargo/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    changes += ["ENV CARGO_HOME=/usr/local/cargo CARGO_NET_OFFLINE=true"]
    # What speed costs most of the build's time; whoever measures builds a release.
    changes += ["ENV CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16"]
    changes += ["ENV CARGO_PROFILE_RELEASE_OPT_LEVEL=1"]
    made_of = f"{toolchain}{changes}".encode() + (REPOSITORY / "Cargo.lock").read_bytes()
    label = hashlib.sha256(made_of).hexdigest()[:16]
    if engine("image", "ls", "--quiet", "--filter", f"label=stand-in={label}").strip():
        return
    cargo = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    # Every crate of the lock, through cargo.
    run("cargo", "fetch", "--locked", "--quiet", cwd=REPOSITORY)
    root = WORK / "rust"
    shutil.rmtree(root, ignore_errors=True)
    home = root / "usr/local/cargo"
    home.mkdir(parents=True)
    run("tar", "-xf", debian(), "-C", root)
    shutil.copytree(
        toolchain, root / "usr/local", symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("doc")
    )
    for part in ("cache", "index"):
        shutil.copytree(cargo / "registry" / part, home / "registry" / part)
    clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    run("chroot", root, "apt-get", "-qq", "update", env=clean)
    run("chroot", root, "apt-get", "-qq", "install", "-y", "--no-install-recommends", "gcc", "libc6-dev", env=clean)
    changes += [f"LABEL stand-in={label}"]
    flags = [part for change in changes for part in ("--change", change)]
    # Not by way of a file, which would take as much room again.
    with subprocess.Popen(["tar", "-C", root, "--one-file-system", "-c", "."], stdout=subprocess.PIPE) as archive:
        engine("import", *flags, "-", RUST, stdin=archive.stdout)
    if archive.returncode != 0:
        fail(f"tar of {root} ended with {archive.returncode}")
    shutil.rmtree(root)


def tidy(engine: Engine) -> None:
    """Removes what the next run makes anew, so that run after run takes no more room than one."""
    engine("image", "prune", "--all", "--force", "--filter", "label!=stand-in")
    engine("builder", "prune", "--force", "--keep-storage", "3gb")

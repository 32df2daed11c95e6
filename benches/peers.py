"""The tools that are compared: how each turns a project into its .venv, and where each keeps its cache.

Every tool gets the same lock with the same hashes, and checks them. A tool starts from nothing but an
interpreter, so that making the environment is part of its time.
"""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workspace import PEERS

PACKAGES = ["pip", "uv", "pipenv", "micropipenv", "pex"]


@dataclass(frozen=True)
class Job:
    """One run to be made."""

    project: Path
    cache: Path
    interpreter: str
    index_url: str
    # Whether the cache may be linked from, or is as far away as in a container build.
    link: bool
    # Whether this is a second run over the .venv that an earlier one made.
    again: bool

    @property
    def venv(self) -> Path:
        return self.project / ".venv"

    @property
    def requirements(self) -> str:
        return str(self.project / "requirements.txt")


@dataclass(frozen=True)
class Tool:
    name: str
    commands: Callable[[Job], list[list[str]]]
    # Variables beyond the common ones; the cache directory is among them.
    variables: Callable[[Job], dict[str, str]] = lambda job: {}
    # Can take files from its cache by linking: otherwise warm-link and warm-unpack are one figure.
    links: bool = False
    # Whether it removes what the lock does not hold any more.
    removes: bool = False
    # Takes tens of seconds: fewer rounds.
    slow: bool = False
    # What it differs in from a tool that is measured in all figures; empty for all of them.
    figures: tuple[str, ...] = ()


def program(name: str) -> str:
    return str(PEERS / "bin" / name)


def venvoy(binary: Path, away: str = "unpack") -> Tool:
    """`away` is how files come from a cache that is too far away for links."""

    def commands(job: Job) -> list[list[str]]:
        link = "auto" if job.link else away
        command = [str(binary), "sync", "--project", str(job.project), "--venv", str(job.venv)]
        return [[*command, "--python", job.interpreter, "--link", link]]

    name, figures = ("venvoy", ()) if away == "unpack" else (f"venvoy {away}", ("warm-unpack",))
    variables = lambda job: {"VENVOY_CACHE_DIR": str(job.cache)}
    return Tool(name, commands, variables, links=True, removes=True, figures=figures)


def uv_commands(job: Job) -> list[list[str]]:
    venv = [program("uv"), "venv", "--quiet", "--python", job.interpreter, str(job.venv)]
    sync = [program("uv"), "pip", "sync", "--quiet", "--require-hashes"]
    sync += ["--python", str(job.venv / "bin" / "python"), "--default-index", job.index_url]
    sync.append(job.requirements)
    return [sync] if job.again else [venv, sync]


def uv_variables(job: Job) -> dict[str, str]:
    variables = {"UV_CACHE_DIR": str(job.cache), "UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never"}
    if not job.link:
        variables["UV_LINK_MODE"] = "copy"
    return variables


def pip_variables(job: Job) -> dict[str, str]:
    return {
        "PIP_CACHE_DIR": str(job.cache),
        "PIP_INDEX_URL": job.index_url,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_CONFIG_FILE": "/dev/null",
    }


def pip_commands(job: Job) -> list[list[str]]:
    venv = [job.interpreter, "-m", "venv", "--without-pip", str(job.venv)]
    install = [program("pip"), "--python", str(job.venv / "bin" / "python"), "install", "--quiet"]
    install += ["--no-deps", "--require-hashes", "--requirement", job.requirements]
    return [install] if job.again else [venv, install]


def pipenv_commands(job: Job) -> list[list[str]]:
    return [[program("pipenv"), "sync", "--python", job.interpreter]]


def pipenv_variables(job: Job) -> dict[str, str]:
    return pip_variables(job) | {
        "PIPENV_CACHE_DIR": str(job.cache / "pipenv"),
        "PIPENV_VENV_IN_PROJECT": "1",
        "PIPENV_IGNORE_VIRTUALENVS": "1",
        "PIPENV_NOSPIN": "1",
    }


def micropipenv_commands(job: Job) -> list[list[str]]:
    venv = [job.interpreter, "-m", "venv", str(job.venv)]
    install = [program("micropipenv"), "install", "--method", "pipenv"]
    return [install] if job.again else [venv, install]


def micropipenv_variables(job: Job) -> dict[str, str]:
    return pip_variables(job) | {"MICROPIPENV_PIP_BIN": str(job.venv / "bin" / "pip")}


def pex_commands(job: Job) -> list[list[str]]:
    create = [program("pex3"), "venv", "create", "--dest-dir", str(job.venv), "--force"]
    create += ["--python", job.interpreter, "--intransitive", "--requirement", job.requirements]
    create += ["--index-url", job.index_url, "--site-packages-copies"]
    return [create]


def pex_variables(job: Job) -> dict[str, str]:
    return {"PEX_ROOT": str(job.cache), "PEX_PYTHON_PATH": job.interpreter}


def floor(tree: Path) -> list[Tool]:
    """What the kernel takes for the same tree: links of every file, and copies of every file."""

    def copy(flags: str) -> Callable[[Job], list[list[str]]]:
        return lambda job: [["/bin/cp", flags, str(tree), str(job.venv)]]

    return [Tool("cp -al", copy("-al"), links=True), Tool("cp -a", copy("-a"), links=True)]


OTHERS = [
    Tool("uv", uv_commands, uv_variables, links=True, removes=True),
    Tool("pip", pip_commands, pip_variables, slow=True),
    Tool("pipenv", pipenv_commands, pipenv_variables, slow=True),
    Tool("micropipenv", micropipenv_commands, micropipenv_variables, slow=True),
    Tool("pex", pex_commands, pex_variables, slow=True),
]


def install() -> None:
    """Installs the peers into target/, once, through pip."""
    if not (PEERS / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
    if not all(Path(program(name)).exists() for name in PACKAGES):
        print("installing the peers", flush=True)
        subprocess.run([program("python"), "-m", "pip", "install", "--quiet", "-U", *PACKAGES], check=True)


def versions() -> dict[str, str]:
    names = ["-c", "import importlib.metadata as m, sys; print(*map(m.version, sys.argv[1:]))"]
    output = subprocess.run([program("python"), *names, *PACKAGES], check=True, capture_output=True, text=True)
    return dict(zip(PACKAGES, output.stdout.split(), strict=True))

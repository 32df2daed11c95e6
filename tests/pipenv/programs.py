"""The programs that take part: interpreters, pipenv and uv."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from cases import WORK

QUERY = "import sys; print('%d.%d' % sys.version_info[:2], sys._base_executable)"


def candidates(version: str) -> list[str]:
    """Interpreters of that name on PATH and under pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = [str(path) for path in sorted(pyenv.glob(f"{version}.*/bin/python{version}"))]
    on_path = shutil.which(f"python{version}")
    return [on_path, *found] if on_path else found


def interpreter(version: str) -> str:
    """The real path of a Python `version`."""
    for program in candidates(version):
        answer = subprocess.run([program, "-c", QUERY], capture_output=True, text=True)
        # A shim of pyenv fails when its version is not selected.
        if answer.returncode == 0 and (match := re.fullmatch(r"(\S+) (.+)\n", answer.stdout)):
            if match[1] == version:
                return match[2]
    sys.exit(f"no Python {version} on PATH or under pyenv")


def tools(directory: str, packages: list[str]) -> str:
    """The interpreter of an environment in target/pipenv that has `packages`, made once through pip."""
    python = WORK / directory / "bin" / "python"
    finished = WORK / directory / "installed"
    if not finished.exists():
        print(f"installing {', '.join(packages)}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(python.parent.parent)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *packages], check=True)
        finished.touch()
    return str(python)


def uv() -> list[str]:
    return [tools("tools", ["pipenv", "uv"]), "-m", "uv"]


def pipenv(version: str) -> list[str]:
    """The pipenv for a Python: the pip inside those since 2026 does not run on 3.9."""
    if version == "3.9":
        return [tools("tools-py39", ["pipenv<2026"]), "-m", "pipenv"]
    return [tools("tools", ["pipenv", "uv"]), "-m", "pipenv"]


def pipenv_version(version: str) -> str:
    output = subprocess.run([*pipenv(version), "--version"], check=True, capture_output=True, text=True)
    return output.stdout.strip()

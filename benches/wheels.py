"""The wheels of a set: downloaded once through pip, each checked against the lock."""

import json
import subprocess
from pathlib import Path

import lockfile
from workspace import BENCH, PEERS, WHEELS


def read_files(directory: Path) -> dict[str, dict[str, str]]:
    """For every package of a set: hash -> file name, for all files of the locked release."""
    return json.loads((directory / "files.json").read_text())


def local_wheel(files: dict[str, str]) -> Path | None:
    """The downloaded wheel among a release's files."""
    for name in files.values():
        if (WHEELS / name).exists():
            return WHEELS / name
    return None


def download(directory: Path, interpreter: str) -> None:
    """Fetches what is missing of a set from the index pip is configured for."""
    WHEELS.mkdir(parents=True, exist_ok=True)
    files = read_files(directory)
    lock = lockfile.read_lock(directory)
    lock["default"] = {
        name: entry for name, entry in lock["default"].items() if local_wheel(files[name]) is None
    }
    if not lock["default"]:
        return
    wanted = BENCH / f"{directory.name}-missing.txt"
    wanted.write_text(lockfile.requirements(lock))
    print(f"{directory.name}: downloading {len(lock['default'])} wheels", flush=True)
    command = [str(PEERS / "bin" / "pip"), "--python", interpreter, "download", "--quiet"]
    command += ["--no-deps", "--require-hashes", "--only-binary", ":all:"]
    command += ["--dest", str(WHEELS), "--requirement", str(wanted)]
    subprocess.run(command, check=True)

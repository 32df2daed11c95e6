"""Runs inside the image, as its user: every console script, and who may write to the environment."""

import json
import os
import stat
import subprocess
import sys

VENV = sys.argv[1]
# blackd needs an extra of black that the lock does not have; it says so, which proves that it runs.
EXPECTED = {"blackd": "aiohttp dependency is not installed"}


def scripts():
    for entry in sorted(os.scandir(f"{VENV}/bin"), key=lambda entry: entry.name):
        if entry.is_file(follow_symlinks=False) and entry.stat().st_mode & stat.S_IXUSR:
            yield entry.name


def fails(name):
    for option in ("--help", "--version"):
        try:
            done = subprocess.run([f"{VENV}/bin/{name}", option], capture_output=True, text=True, timeout=120)
        except OSError as error:
            return str(error)
        said = done.stdout + done.stderr
        if done.returncode == 0 or (name in EXPECTED and EXPECTED[name] in said):
            return None
    return f"ended with {done.returncode}: {said}"


def writable():
    for directory, names, files in os.walk(VENV):
        for name in (".", *names, *files):
            path = os.path.join(directory, name)
            if not os.path.islink(path) and (os.access(path, os.W_OK) or os.stat(path).st_uid != 0):
                yield path


broken = {name: why for name in scripts() if (why := fails(name))}
place = subprocess.run(
    [f"{VENV}/bin/python", "-c", "import shop; print(shop.__file__)"], capture_output=True, text=True
)
print(
    json.dumps(
        {
            "user": os.getuid(),
            "scripts": list(scripts()),
            "broken": broken,
            "shop": place.stdout.strip() or place.stderr.strip().splitlines()[-1],
            "writable": list(writable())[:10],
        }
    )
)

"""One measured run: commands one after another, their wall time, processor time and peak memory.

Imported, it gives `measure`; run as a program, it is the small process that starts the commands: a child
begins with the resident set of its parent, so a large parent would hide what a small tool needs.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """Seconds, and the largest resident set of any process in mebibytes.

    The kernel counts mapped files as resident.
    """

    wall: float
    user: float
    system: float
    memory: float


def preload(directory: Path) -> None:
    """Reads all files, as a machine under memory pressure may have dropped some from its page cache."""
    buffer = bytearray(1 << 20)
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb", buffering=0) as file:
                    while file.readinto(buffer):
                        pass


def spawn(command: list[str], log: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, flags, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawn(command[0], command, os.environ, file_actions=actions)


def run_all(commands: list[list[str]], log: str) -> dict:
    """Runs the commands to the first that fails; `failed` is that one with its exit code, or nothing."""
    user = system = memory = 0.0
    failed = None
    start = time.perf_counter()
    for command in commands:
        _, status, usage = os.wait4(spawn(command, log), 0)
        user += usage.ru_utime
        system += usage.ru_stime
        memory = max(memory, usage.ru_maxrss / 1024)
        if code := os.waitstatus_to_exitcode(status):
            failed = (command, code)
            break
    wall = time.perf_counter() - start
    return {"usage": {"wall": wall, "user": user, "system": system, "memory": memory}, "failed": failed}


def measure(commands: list[list[str]], directory: Path, environment: dict[str, str], log: Path) -> Usage:
    """Runs `commands` in `directory`, output to `log`; a failing one ends the benchmark."""
    # What an earlier run left to be written must not be written in this run's time.
    os.sync()
    starter = [sys.executable, "-I", "-S", __file__]
    order = json.dumps({"commands": commands, "log": str(log)})
    answer = subprocess.run(
        starter, input=order, cwd=directory, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    result = json.loads(answer.stdout)
    if result["failed"]:
        command, code = result["failed"]
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        sys.exit(f"{' '.join(command)}\nended with {code}, in {directory}; output in {log}:\n{tail}")
    return Usage(**result["usage"])


if __name__ == "__main__":
    json.dump(run_all(**json.load(sys.stdin)), sys.stdout)

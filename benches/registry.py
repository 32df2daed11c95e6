"""Debian's docker-registry on loopback."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from server import free_port, wait_until_open


def size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file() and not path.is_symlink())


class Registry:
    """docker-registry with an empty store."""

    def __init__(self, place: Path) -> None:
        place.mkdir(parents=True)
        self.data, self.port = place / "data", free_port()
        configuration = {
            "version": "0.1",
            "storage": {"filesystem": {"rootdirectory": str(self.data)}},
            "http": {"addr": f"127.0.0.1:{self.port}"},
            "log": {"level": "error", "accesslog": {"disabled": True}},
        }
        (place / "registry.yml").write_text(json.dumps(configuration))
        program = shutil.which("docker-registry") or sys.exit("docker-registry is needed (Debian's package)")
        with (place / "registry.log").open("w") as output:
            command = [program, "serve", str(place / "registry.yml")]
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        wait_until_open(self.process, self.port, place / "registry.log")

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.port}"

    def holds(self) -> int:
        """How many bytes there are."""
        return size(self.data)

    def __enter__(self) -> "Registry":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

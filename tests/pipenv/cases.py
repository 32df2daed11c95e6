"""The locks that are compared, and where the comparison keeps things."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from distributions import normalised

HERE = Path(__file__).resolve().parent
LOCKS = HERE / "locks"
WORK = HERE.parent.parent / "target" / "pipenv"
PLACEHOLDER = "https://index.example"

# pip knows no dependency groups in a requirement; the category already says what the clause says.
GROUP = re.compile(r"\(?'[\w-]+' in dependency_groups\)?(?: and )?")


@dataclass(frozen=True)
class Case:
    """One lock, the interpreter it is installed for, and whether its develop category is too."""

    name: str
    # "3.12": the major and minor version.
    python: str
    dev: bool = False

    @property
    def project(self) -> Path:
        return LOCKS / self.name

    @property
    def work(self) -> Path:
        return WORK / self.name

    @property
    def lock(self) -> dict:
        return json.loads((self.project / "Pipfile.lock").read_text())

    @property
    def categories(self) -> list[dict]:
        """The categories' entries that an index has, as pip understands them."""
        names = ["default", "develop"] if self.dev else ["default"]
        return [
            {name: plain(entry) for name, entry in self.lock[category].items() if "version" in entry}
            for category in names
        ]

    @property
    def repository(self) -> Path | None:
        """The files of the repository that the lock names, if it does."""
        files = self.project / "repository"
        return files if files.is_dir() else None

    def builds(self, sdists: set[str]) -> bool:
        """Whether anything of it is built: a source distribution, a directory, a repository."""
        names = ["default", "develop"] if self.dev else ["default"]
        entries = [entry for category in names for entry in self.lock[category].values()]
        return bool(sdists) or any(key in entry for entry in entries for key in ("path", "git"))

    @property
    def options(self) -> list[str]:
        return ["--dev"] if self.dev else []

    def write_project(self, destination: Path, index_url: str, without: set[str]) -> None:
        """Copies the project with the server of `index_url` in place of the placeholder, the lock without some.

        What lies in `beside` comes to lie beside it.
        """
        ignored = shutil.ignore_patterns("repository", "beside", "__pycache__")
        shutil.copytree(self.project, destination, ignore=ignored)
        if (beside := self.project / "beside").is_dir():
            shutil.copytree(beside, destination.parent, dirs_exist_ok=True)
        lock = self.lock
        for entries in (lock["default"], lock.get("develop", {})):
            for name in [name for name in entries if normalised(name) in without]:
                del entries[name]
        texts = {"Pipfile": (self.project / "Pipfile").read_text(), "Pipfile.lock": json.dumps(lock, indent=4)}
        for name, text in texts.items():
            (destination / name).write_text(text.replace(PLACEHOLDER, index_url.removesuffix("/simple")))


def plain(entry: dict) -> dict:
    """The entry with its marker freed of dependency groups."""
    return entry | {"markers": GROUP.sub("", entry.get("markers", ""))}


CASES = [
    Case("paperless", "3.9", dev=True),
    Case("gitlab-content-ci", "3.10"),
    Case("care", "3.11", dev=True),
    Case("alltheplaces", "3.11"),
    Case("browser-use", "3.12"),
    Case("jupyter-minimal", "3.12"),
    Case("pipenv", "3.13", dev=True),
    Case("sources", "3.11"),
    Case("monorepo", "3.11"),
    Case("shared-paths", "3.11", dev=True),
]

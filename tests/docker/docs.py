"""The files of the documentation: what a page shows is what is built."""

from __future__ import annotations

import re
from pathlib import Path

from engine import fail
from images import REPOSITORY

PAGE = REPOSITORY / "docs" / "docker.md"


def files(page: Path) -> dict[str, str]:
    """The blocks after `<!-- file: NAME -->`, by name."""
    blocks = re.findall(r"^<!-- file: (\S+) -->\n```\w*\n(.*?)^```$", page.read_text(), re.M | re.S)
    found = dict(blocks)
    if len(found) != len(blocks) or len(blocks) != page.read_text().count("<!-- file: "):
        fail(f"{page.name} has two files of one name, or a name without a file")
    return found


def readme() -> dict[str, str]:
    """README's Dockerfiles: `system`, and `before` and `after` with an environment of its own."""
    blocks = re.findall(r"^```dockerfile\n(.*?)^```$", (REPOSITORY / "README.md").read_text(), re.M | re.S)
    names = ("system", "before", "after")
    if len(blocks) != len(names):
        fail(f"README has {len(blocks)} Dockerfiles, expected {', '.join(names)}")
    return dict(zip(names, blocks))


def write_times(rows: list[tuple[str, float]]) -> None:
    """Replaces the table of the page."""
    table = "| step | wall time |\n|---|---|\n" + "".join(f"| {step} | {seconds:.1f} s |\n" for step, seconds in rows)
    text = PAGE.read_text()
    marked = re.compile(r"(?<=<!-- times -->\n).*?(?=<!-- end of times -->)", re.S)
    PAGE.write_text(marked.sub(lambda _: table, text))

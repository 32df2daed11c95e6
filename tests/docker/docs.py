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


def readme_after() -> str:
    """The Dockerfile after README's "After:"."""
    found = re.search(r"^After:\n\n```dockerfile\n(.*?)^```$", (REPOSITORY / "README.md").read_text(), re.M | re.S)
    return found[1] if found else fail("README has no Dockerfile after 'After:'")


def write_times(rows: list[tuple[str, float]]) -> None:
    """Replaces the table of the page."""
    table = "| step | wall time |\n|---|---|\n" + "".join(f"| {step} | {seconds:.1f} s |\n" for step, seconds in rows)
    text = PAGE.read_text()
    marked = re.compile(r"(?<=<!-- times -->\n).*?(?=<!-- end of times -->)", re.S)
    PAGE.write_text(marked.sub(lambda _: table, text))

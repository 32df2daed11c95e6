"""A static simple index (PEP 503 HTML and PEP 691 JSON) over the downloaded wheels.

A page lists every file of the locked release, as a real index does, though only the wheel that this
interpreter wants is there to fetch. Metadata files (PEP 658) are beside the wheels: uv asks for them.
"""

import hashlib
import html
import json
import os
import re
import zipfile
from pathlib import Path

from wheels import local_wheel

METADATA = re.compile(r"[^/]+\.dist-info/METADATA")


def write_metadata(wheel: Path, destination: Path) -> str:
    """Writes the wheel's METADATA beside it and gives its sha256."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if METADATA.fullmatch(name))
        data = archive.read(name)
    destination.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def file_entry(name: str, digest: str, sizes: dict[str, int], metadata: dict[str, str]) -> dict:
    algorithm, value = digest.split(":")
    entry = {"filename": name, "url": f"../../files/{name}", "hashes": {algorithm: value}}
    if name in sizes:
        entry["size"] = sizes[name]
    if name in metadata:
        entry["core-metadata"] = {"sha256": metadata[name]}
    return entry


def json_page(name: str, entries: list[dict]) -> str:
    return json.dumps({"meta": {"api-version": "1.0"}, "name": name, "files": entries})


def html_page(name: str, entries: list[dict]) -> str:
    lines = ["<!DOCTYPE html>", f"<html><head><title>Links for {html.escape(name)}</title></head><body>"]
    for entry in entries:
        url = f"{entry['url']}#sha256={entry['hashes']['sha256']}"
        metadata = entry.get("core-metadata")
        extra = f' data-core-metadata="sha256={metadata["sha256"]}"' if metadata else ""
        lines.append(f'<a href="{html.escape(url)}"{extra}>{html.escape(entry["filename"])}</a><br>')
    return "\n".join([*lines, "</body></html>", ""])


def write_index(root: Path, releases: dict[str, dict[str, str]], newer: dict[str, Path] | None = None) -> None:
    """Lays out `root`/simple and `root`/files for one set's releases (name -> hash -> file name), and newer wheels."""
    (root / "files").mkdir(parents=True)
    for name, files in releases.items():
        wheel = local_wheel(files)
        os.link(wheel, root / "files" / wheel.name)
        digest = write_metadata(wheel, root / "files" / f"{wheel.name}.metadata")
        sizes, metadata = {wheel.name: wheel.stat().st_size}, {wheel.name: digest}
        entries = [file_entry(file, value, sizes, metadata) for value, file in sorted(files.items())]
        if wheel := (newer or {}).get(name):
            os.link(wheel, root / "files" / wheel.name)
            metadata[wheel.name] = write_metadata(wheel, root / "files" / f"{wheel.name}.metadata")
            value = f"sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"
            entries.append(file_entry(wheel.name, value, {wheel.name: wheel.stat().st_size}, metadata))
        page = root / "simple" / name
        page.mkdir(parents=True)
        (page / "index.html").write_text(html_page(name, entries))
        (page / "index.json").write_text(json_page(name, entries))

#!/usr/bin/env python3
"""Reads layers file by file, as eStargz specifies it, and makes the tree of their tables of contents.

    estargz.py LAYOUT TO

Written from https://github.com/containerd/stargz-snapshotter/blob/main/docs/estargz.md alone. Everything that is said there
in capitals is looked at; a file's bytes come from the member at its offset and are compared with every digest there is.
Prints how many files, and how many chunks beyond each file's first.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tarfile
import zlib
from datetime import datetime
from io import BytesIO
from pathlib import Path

FOOTER = 51
LANDMARK = ".no.prefetch.landmark"


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def member(blob: bytes, at: int) -> tuple[bytes, int]:
    """What the gzip member at a place inflates to, and where it ends."""
    assert blob[at : at + 3] == b"\x1f\x8b\x08", f"no gzip member at {at}"
    inflater, data, end = zlib.decompressobj(31), [], at
    while not inflater.eof:
        piece = blob[end : end + 65536]
        assert piece, f"the member at {at} does not end"
        data.append(inflater.decompress(piece))
        end += len(piece)
    return b"".join(data), end - len(inflater.unused_data)


def members(blob: bytes) -> dict[int, bytes]:
    """All members by place: what an engine that knows nothing of eStargz reads."""
    found, at = {}, 0
    while at < len(blob):
        found[at], at = member(blob, at)
    return found


def table_of(blob: bytes) -> tuple[int, bytes]:
    """Where the table of contents is, by the footer, and its bytes."""
    footer = blob[-FOOTER:]
    head = b"\x1f\x8b\x08\x04"
    assert footer[:4] == head and footer[10:16] == b"\x1a\x00SG\x16\x00", footer
    assert footer[38:] == b"\x01\x00\x00\xff\xff" + bytes(8), footer
    found = re.fullmatch(rb"([0-9a-f]{16})STARGZ", footer[16:38])
    assert found, footer
    at = int(found[1], 16)
    data, end = member(blob, at)
    assert end == len(blob) - FOOTER, "something is between table and footer"
    with tarfile.open(fileobj=BytesIO(data), mode="r:") as tar:
        (only,) = tar.getmembers()
        assert only.name == "stargz.index.json" and only.isfile()
        return at, tar.extractfile(only).read()


def headers_are_where_they_must_be(found: set[int], rows: list[dict], toc_at: int, footer_at: int) -> None:
    """A member begins at the blob's top, at each file's bytes, each chunk's, the table's header, and the footer, nowhere else."""
    assert found == {0, toc_at, footer_at} | {row["offset"] for row in rows if "offset" in row}


def same_as_the_tar(plain: bytes, rows: list[dict], diff_id: str, size: str) -> None:
    """What others unpack has the same entries, and the digest and size that the image says."""
    assert digest(plain) == diff_id and str(len(plain)) == size
    kinds = {tarfile.DIRTYPE: "dir", tarfile.REGTYPE: "reg", tarfile.SYMTYPE: "symlink"}
    with tarfile.open(fileobj=BytesIO(plain), mode="r:") as tar:
        entries = tar.getmembers()
        assert entries[-1].name == "stargz.index.json"
        assert not plain[entries[-1].offset_data + (entries[-1].size + 511) // 512 * 512 :].strip(b"\0")
        own = [row for row in rows if row["type"] != "chunk"]
        for entry, row in zip(entries[:-1], own, strict=True):
            name = entry.name + ("/" if entry.isdir() else "")
            assert (row["name"], row["type"]) == (name, kinds[entry.type]), (row, name)
            assert (row["mode"], row["uid"], row["gid"]) == (entry.mode, entry.uid, entry.gid), row
            assert row.get("linkName", "") == entry.linkname and row.get("size", 0) == entry.size, row
            assert seconds(row) == entry.mtime, row
            if entry.size:
                assert digest(tar.extractfile(entry).read()) == row["digest"], row


def seconds(row: dict) -> int:
    return int(datetime.fromisoformat(row["modtime"].replace("Z", "+00:00")).timestamp())


def read(blob: bytes, parts: list[dict]) -> bytes:
    """A file's bytes, of its members alone."""
    first, size = parts[0], parts[0]["size"]
    data = b""
    for number, part in enumerate(parts):
        assert part.get("chunkOffset", 0) == len(data), part
        last = number == len(parts) - 1
        assert ("chunkSize" not in part) == last, part
        length = size - len(data) if last else part["chunkSize"]
        chunk = member(blob, part["offset"])[0][:length]
        assert len(chunk) == length and digest(chunk) == part["chunkDigest"], part
        data += chunk
    assert len(data) == size and digest(data) == first["digest"], first
    return data


def unpack(blob: bytes, rows: list[dict], to: Path) -> tuple[int, int]:
    """Makes the tree of a table; directories' times are set last."""
    files = chunks = 0
    times: list[tuple[Path, int]] = []
    for number, row in enumerate(rows):
        path = to / row["name"]
        if row["type"] == "dir":
            path.mkdir(exist_ok=True)
            path.chmod(row["mode"])
        elif row["type"] == "symlink":
            path.symlink_to(row["linkName"])
        elif row["type"] == "reg":
            rest = number + 1
            while rest < len(rows) and rows[rest]["type"] == "chunk":
                assert rows[rest]["name"] == row["name"]
                rest += 1
            data = read(blob, rows[number:rest]) if row.get("size") else b""
            if row["name"] == LANDMARK:
                assert data == b"\x0f"
                continue
            path.write_bytes(data)
            path.chmod(row["mode"])
            files, chunks = files + 1, chunks + rest - number - 1
        else:
            assert row["type"] == "chunk", row
            continue
        times.append((path, seconds(row)))
    for path, time in reversed(times):
        os.utime(path, (time, time), follow_symlinks=False)
    return files, chunks


def main() -> None:
    layout, to = map(Path, sys.argv[1:])

    def blob(name: str) -> bytes:
        data = (layout / "blobs/sha256" / name.removeprefix("sha256:")).read_bytes()
        assert digest(data) == name
        return data

    (top,) = json.loads((layout / "index.json").read_text())["manifests"]
    manifest = json.loads(blob(top["digest"]))
    diff_ids = json.loads(blob(manifest["config"]["digest"]))["rootfs"]["diff_ids"]
    files = chunks = 0
    for layer, diff_id in zip(manifest["layers"], diff_ids, strict=True):
        notes = layer.get("annotations", {})
        if "containerd.io/snapshot/stargz/toc.digest" not in notes:
            print("not lazy:", layer["digest"])
            continue
        data = blob(layer["digest"])
        assert len(data) == layer["size"]
        at, text = table_of(data)
        assert digest(text) == notes["containerd.io/snapshot/stargz/toc.digest"]
        table = json.loads(text)
        assert table["version"] == 1
        rows = table["entries"]
        all_members = members(data)
        headers_are_where_they_must_be(set(all_members), rows, at, len(data) - FOOTER)
        plain = b"".join(all_members.values())
        same_as_the_tar(plain, rows, diff_id, notes["io.containers.estargz.uncompressed-size"])
        assert sum(row["name"] == LANDMARK for row in rows) == 1
        more = unpack(data, rows, to)
        files, chunks = files + more[0], chunks + more[1]
    print(files, "files,", chunks, "more chunks")


main()

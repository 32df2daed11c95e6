"""Wheels and projects of a few bytes, served on loopback: what `rules` installs."""

import base64
import hashlib
import io
import subprocess
import zipfile
from pathlib import Path


def wheel(name: str, version: str, files: dict[str, str]) -> tuple[str, bytes]:
    """The file name and the bytes of a pure wheel."""
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    files = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: rules\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(text.encode())}\n")
    files[f"{info}/RECORD"] = "".join(rows) + f"{info}/RECORD,,\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return f"{stem}-py3-none-any.whl", out.getvalue()


# A build backend that needs nothing installed: this very module.
BACKEND = """

NAME, VERSION, FILES = {name!r}, {version!r}, {files!r}


def build_wheel(directory, config_settings=None, metadata_directory=None):
    file_name, data = wheel(NAME, VERSION, FILES)
    (Path(directory) / file_name).write_bytes(data)
    return file_name


build_editable = build_wheel
"""


def project(directory: Path, name: str, version: str, files: dict[str, str]) -> None:
    """A source tree whose wheel, editable or not, has these files."""
    directory.mkdir(parents=True)
    backend = Path(__file__).read_text() + BACKEND.format(name=name, version=version, files=files)
    (directory / "backend.py").write_text(backend)
    (directory / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "{name}"\nversion = "{version}"\n'
    )


def repository(directory: Path, name: str, version: str, files: dict[str, str]) -> dict[str, str]:
    """A repository of such a tree; gives its entry in a lock."""
    project(directory, name, version, files)
    git = ["git", "-C", str(directory), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "first"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return {"git": f"file://{directory}", "ref": commit.stdout.strip()}


def publish(root: Path, index: str, name: str, version: str, files: dict[str, str]) -> str:
    """Adds a wheel to an index; gives its hash."""
    file_name, data = wheel(name, version, files)
    page = root / index / "simple" / name
    page.mkdir(parents=True, exist_ok=True)
    (page / file_name).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    with (page / "index.html").open("a") as links:
        links.write(f'<a href="{file_name}#sha256={digest}">{file_name}</a><br>\n')
    return f"sha256:{digest}"

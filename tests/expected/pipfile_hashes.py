"""Writes the hashes that pipenv and plette give to many Pipfiles.

    python3 -m pip install pipenv==2026.10.3 plette==2.4.0
    python3 tests/expected/pipfile_hashes.py > src/project/lock/expected_hashes.json

Per Pipfile: its text, then the hash without custom categories, with them, and with normalised names.
The hash without categories is plette's of the same file with these taken out, which is what plette
0.2.3 computed. It reads everything; `null` stands where its successors refuse the file.
"""

import json
import tempfile
from pathlib import Path
from types import SimpleNamespace

import plette.pipfiles
import tomlkit
from pipenv.utils.pipfile import Pipfile

SOURCE = "[[source]]\nname = 'main'\nurl = 'https://index.example/simple'\nverify_ssl = true\n"
PIPFILES = [
    "",
    "[packages]\na = '*'\n",
    "\n[packages]\na = '*'\n",
    "source = []\n[packages]\na = '*'\n",
    "[source]\nurl = 'https://index.example/simple'\nverify_ssl = true\n[packages]\na = '*'\n",
    SOURCE,
    SOURCE + "[packages]\n[dev-packages]\n[docs]\n",
    SOURCE.replace("index.", "${USER}:${PASS:-x}@index.") + "[packages]\na = '*'\n",
    (SOURCE + "[packages]\na = '*'\n").replace("\n", "\r\n"),
    SOURCE + "[packages]\na = '*'\n" + SOURCE.replace("main", "other") + "[requires]\npython_version = '3.9'\n",
    SOURCE + "[packages]\na = {version = '>=2', extras = ['socks', 'b'], markers = \"os_name == 'posix'\"}\n",
    SOURCE + "[packages.a]\nversion = '1'\n[dev-packages]\nq = '*'\n[packages.b]\ngit = 'https://git.example'\n",
    SOURCE + "[packages]\na.version = '*'\na.editable = true\n",
    SOURCE + "[packages]\n'\u00e9\U0001f600' = '*'\na = {git = 'https://git.example/\u00fc'}\n",
    SOURCE + '[packages]\na = {version = "\\u007f\\u2028\\"\\\\\\t\\b\\f\\r\\n\\u0001", path = """x\n/y"""}\n',
    SOURCE + "[packages]\nb = '*'\nB = '*'\n'a-b' = '*'\na_c = '*'\n'\uff41' = '1'\n'\U0001f600' = '1'\n",
    SOURCE + "[packages]\nZope_Interface = '*'\n'zope.event' = '*'\n'a--_.b' = '2'\n'-c-' = '1'\n",
    SOURCE + "[packages]\n'\u0391\u03a3' = '*'\n'\u0130x' = '1'\n",
    SOURCE + "[packages]\nfoo-bar = '1'\nFoo_Bar = '2'\n",
    SOURCE + "[packages]\nFoo_Bar = '2'\nfoo-bar = '1'\n",
    SOURCE + "[docs]\nSphinx_X = '*'\n['my tests']\n'A.B' = '*'\n[packages]\nA = '*'\n",
    SOURCE + "[default]\na = '1'\n[develop]\nb = '1'\n[scripts]\nx = 'y'\n[pipenv]\nallow_prereleases = true\n",
    SOURCE + "[requires]\npython_version = '3.11'\npython_full_version = '3.11.4'\n",
    SOURCE + "[requires]\npython_version = 3.10\n",
    SOURCE + "[packages]\na = {x = [1.5, 1e16, 1e-5, 5e-5, 0.0001, 1e-7, 1e22, -0.0, 1e100, -2.5e-10, 1e15]}\n",
    SOURCE + "[packages]\na = {x = [inf, -inf, nan, 1_000, 0x1F, 0o17, 0b11, -5]}\n",
]
KNOWN = {"source", "packages", "dev-packages", "requires", "scripts", "pipfile", "pipenv"}


def first(text):
    table = tomlkit.loads(text if "source" in tomlkit.loads(text) else plette.pipfiles.DEFAULT_SOURCE_TOML + "\n" + text)
    file = object.__new__(plette.pipfiles.Pipfile)
    file._data = {name: table[name] for name in table if name in KNOWN}
    return file.get_hash().value


def of(compute):
    try:
        return compute()
    except plette.models.DataValidationError:
        return None
    except Exception as error:
        if type(error).__name__ == "DataValidationError":  # pipenv's own copy of plette
            return None
        raise


def hashes(text, directory):
    path = Path(directory) / "Pipfile"
    path.write_text(text, encoding="utf-8", newline="")
    with path.open(encoding="utf-8") as file:
        second = of(lambda: plette.Pipfile.load(file).get_hash().value)
    third = of(lambda: Pipfile.calculate_hash(SimpleNamespace(exists=True, location=str(path))))
    return [text, first(text), second, third]


with tempfile.TemporaryDirectory() as directory:
    print("[\n" + ",\n".join(json.dumps(hashes(text, directory)) for text in PIPFILES) + "\n]")

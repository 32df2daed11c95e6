"""The packages of the lock: what each is written in, and what shows that it works."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Package:
    written_in: str
    # Code that fails when the package does not work.
    check: str
    # Left out unless --all or its name asks for it.
    slow: bool = False


def file(pattern: str) -> str:
    """A check that a file is there: the package imports others, which this lock does not have."""
    return f"import glob, sys; assert any(glob.glob(path + '/{pattern}') for path in sys.path)"


PACKAGES = {
    "antlr4-python3-runtime": Package("Python", "import antlr4; assert antlr4.Token.EOF == -1"),
    "compressed-rtf": Package("Python", "import compressed_rtf as c; assert c.decompress(c.compress(b'{}')) == b'{}'"),
    "contourpy": Package("C++, meson", file("contourpy/_contourpy*.so"), slow=True),
    "docopt": Package("Python", "import docopt; assert docopt.docopt('usage: x [--a]', ['--a'])['--a']"),
    "img2pdf": Package("Python", file("img2pdf.py")),
    "inotify-simple": Package("Python", "import inotify_simple; inotify_simple.INotify().close()"),
    "langdetect": Package("Python", file("langdetect/profiles/cs")),
    "mysqlclient": Package("C", "import MySQLdb; assert MySQLdb.get_client_info()"),
    "olefile": Package("Python (zip)", "import olefile; assert olefile.MAGIC"),
    "pdftotext": Package("C++", "import pdftotext; assert pdftotext.PDF"),
    "phpserialize": Package("Python", "import phpserialize as p; assert p.loads(p.dumps([1])) == {0: 1}"),
    "psycopg-c": Package("Cython", file("psycopg_c/_psycopg*.so"), slow=True),
    "pyrsistent": Package("C", "import pvectorc; assert len(pvectorc.pvector([1])) == 1"),
    "rpds-py": Package("Rust", "import rpds; assert rpds.HashTrieMap({1: 2})[1] == 2"),
    "wrapt": Package("C", file("wrapt/_wrappers*.so")),
}

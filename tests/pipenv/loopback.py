"""A simple index on loopback: HTML or, for who asks for it, JSON."""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

JSON = "application/vnd.pypi.simple.v1+json"


class Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".json": JSON,
        ".gz": "application/octet-stream",
        ".whl": "application/octet-stream",
    }

    def translate_path(self, path: str) -> str:
        found = super().translate_path(path)
        if path.startswith("/simple/") and path.endswith("/") and JSON in self.headers.get("Accept", ""):
            return str(Path(found) / "index.json")
        return found

    def log_message(self, *_: object) -> None:
        """Says nothing: who fetches what is in the tools' own output."""


@contextmanager
def serve(root: Path, handler: type[SimpleHTTPRequestHandler] = Handler) -> Iterator[str]:
    """Serves `root` until the block ends; gives the URL of the simple API."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

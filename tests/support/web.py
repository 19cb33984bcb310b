"""A small HTTP server on this machine, for a test's own process."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Answers(BaseHTTPRequestHandler):
    """What answers requests: `do_GET` and `do_POST` are the derived class's."""

    def body(self) -> bytes:
        """Read what the request carries."""
        return self.rfile.read(int(self.headers["content-length"]))

    def answer(self, status: int, content: bytes = b"", kind: str = "application/json") -> None:
        """Send an answer whole."""
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class LocalServer:
    """Serves on a free port of 127.0.0.1 from a thread, from its making until it is closed."""

    def __init__(self, answers: type[BaseHTTPRequestHandler]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), answers)
        self._thread = Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

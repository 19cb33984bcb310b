"""Fetching, from files, a server on the loopback interface, and a store in memory."""

import os
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import fsspec
import pytest

from streamer.config.topology import Fetch
from streamer.decode.fetch import Fetcher
from streamer.errors import ConfigError, DecodeError

CONTENT = b"a picture" * 1000


class Site(BaseHTTPRequestHandler):
    asked: Counter[str] = Counter()

    def do_GET(self):  # noqa: C901 - one line a page
        self.asked[self.path] += 1
        match self.path:
            case "/photos/1.jpg":
                self.answer(200, CONTENT)
            case "/photos/within":
                self.answer(302, b"", Location="/photos/1.jpg")
            case "/photos/outside":
                self.answer(302, b"", Location="/private/1.jpg")
            case "/photos/file":
                self.answer(302, b"", Location="file:///etc/passwd")
            case "/photos/circle":
                self.answer(302, b"", Location="/photos/circle")
            case "/photos/flaky" if self.asked[self.path] > 2:
                self.answer(200, CONTENT)
            case "/photos/flaky":
                self.answer(503, b"")
            case "/photos/short":
                self.answer(200, CONTENT, length=len(CONTENT) + 1)
            case "/photos/slow":
                self.answer(200, b"", length=10**6)
                for _ in range(100):
                    time.sleep(0.02)
                    self.wfile.write(b"x")
            case _:
                self.answer(404, b"")

    def answer(self, code, content, length=None, **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        """Take a client that hangs up for granted."""


@pytest.fixture(scope="module")
def site():
    server = Server(("127.0.0.1", 0), Site)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def web(site) -> Fetcher:
    return Fetcher(Fetch(allow=(f"{site}/photos",)))


def failure(fetcher: Fetcher, uri: str) -> tuple[str, str]:
    with pytest.raises(DecodeError) as caught:
        fetcher.fetch(uri)
    return caught.value.reason, str(caught.value)


def test_a_web_page_is_fetched_and_its_redirects_followed_within_the_list(web, site):
    assert web.fetch(f"{site}/photos/1.jpg") == CONTENT
    assert web.fetch(f"{site}/photos/within") == CONTENT


def test_a_redirect_out_of_the_list_is_not_followed(web, site):
    assert failure(web, f"{site}/photos/outside")[0] == "uri-not-allowed"
    assert Site.asked["/private/1.jpg"] == 0
    assert "root:" not in failure(web, f"{site}/photos/file")[1]


def test_a_redirect_in_circles_ends(web, site):
    assert failure(web, f"{site}/photos/circle")[0] == "fetch-failed"


def test_a_passing_failure_is_tried_again_and_a_lasting_one_is_not(web, site):
    assert web.fetch(f"{site}/photos/flaky") == CONTENT
    assert Site.asked["/photos/flaky"] == 3
    reason, message = failure(web, f"{site}/photos/gone?token=secret")
    assert reason == "fetch-failed"
    assert "404" in message
    assert "secret" not in message
    assert Site.asked["/photos/gone?token=secret"] == 1


def test_a_page_that_ends_early_is_a_failure(web, site):
    assert failure(web, f"{site}/photos/short")[0] == "fetch-failed"


def test_a_page_over_the_size_is_a_failure(site):
    small = Fetcher(Fetch(allow=(site,), max_size=len(CONTENT) - 1))
    assert "more than 8999 bytes" in failure(small, f"{site}/photos/1.jpg")[1]
    assert len(Fetcher(Fetch(allow=(site,), max_size=9000)).fetch(f"{site}/photos/1.jpg")) == 9000


def test_a_page_that_trickles_is_given_up(site):
    began = time.monotonic()
    hasty = Fetcher(Fetch(allow=(site,), timeout=0.1))
    assert "not done within 0.1 s" in failure(hasty, f"{site}/photos/slow")[1]
    assert time.monotonic() - began < 1


def test_files_are_fetched_from_their_folder_only(tmp_path):
    folder, secret = tmp_path / "photos", tmp_path / "secret"
    folder.mkdir()
    (folder / "a b.jpg").write_bytes(CONTENT)
    secret.write_bytes(b"secret")
    (folder / "link").symlink_to(secret)
    os.mkfifo(folder / "pipe")
    fetcher = Fetcher(Fetch(allow=(f"file://{folder}",)))
    assert fetcher.fetch(f"file://{folder}/a%20b.jpg") == CONTENT
    assert failure(fetcher, f"file://{folder}/link")[0] == "uri-not-allowed"
    assert failure(fetcher, f"file://{folder}/../secret")[0] == "uri-not-allowed"
    assert "no regular file" in failure(fetcher, f"file://{folder}/pipe")[1]
    assert "No such file" in failure(fetcher, f"file://{folder}/gone")[1]
    assert failure(fetcher, f"file://{folder}")[0] == "fetch-failed"


def test_object_stores_are_read_through_fsspec():
    with fsspec.open("memory://bucket/in/1.jpg", "wb") as file:
        file.write(CONTENT)
    fetcher = Fetcher(Fetch(allow=("memory://bucket/in",), max_size=9000))
    assert fetcher.fetch("memory://bucket/in/1.jpg") == CONTENT
    assert failure(fetcher, "memory://bucket/in/gone.jpg")[0] == "fetch-failed"
    small = Fetcher(Fetch(allow=("memory://bucket/in",), max_size=8999))
    assert failure(small, "memory://bucket/in/1.jpg")[0] == "fetch-failed"


def test_a_scheme_that_nobody_knows_is_found_at_the_start():
    with pytest.raises(ConfigError, match="gopher:// cannot be read"):
        Fetcher(Fetch(allow=("gopher://host/x",)))

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from streamer.embedded.probe import answers

_READY, _NOT_YET = 0, 15


@contextmanager
def node(*responses: bytes) -> Iterator[int]:
    """A listener that answers one connection, a response a request, then closes it."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            for response in responses:
                connection.recv(1000)
                connection.sendall(response)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def coordinator(error: int) -> bytes:
    body = struct.pack(">iihhihi", 0, 0, error, -1, 1, 0, 9092)
    return struct.pack(">i", len(body)) + body


@pytest.mark.parametrize(
    ("responses", "ready"),
    [
        ([coordinator(_READY), coordinator(_READY)], True),
        ([coordinator(_NOT_YET)], False),
        ([coordinator(_READY), coordinator(_NOT_YET)], False),
        ([coordinator(_READY)], False),
        ([b"\x00\x00\x00\x02\x00\x00"], False),
    ],
)
def test_a_node_is_ready_when_groups_and_transactions_have_a_coordinator(responses, ready):
    with node(*responses) as port:
        assert answers("127.0.0.1", port) is ready


def test_nobody_listening_is_not_ready():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert answers("127.0.0.1", unused.getsockname()[1]) is False

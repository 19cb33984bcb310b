"""Whether a node answers: two requests in Kafka's own protocol, before any client is needed."""

import socket
import struct

_FIND_COORDINATOR = 10
_VERSION = 1
_GROUP, _TRANSACTION = 0, 1
_CLIENT_ID = b"streamer-probe"
_TIMEOUT_S = 2.0


def answers(host: str, port: int) -> bool:
    """Tell whether groups and transactions have a coordinator: the last things to come up.

    Asking makes Kafka create the two internal topics, so the first real client need not wait.
    """
    try:
        with socket.create_connection((host, port), timeout=_TIMEOUT_S) as connection:
            return all(_coordinated(connection, kind) for kind in (_GROUP, _TRANSACTION))
    except (OSError, struct.error):
        return False


def _coordinated(connection: socket.socket, kind: int) -> bool:
    head = struct.pack(">hhi", _FIND_COORDINATOR, _VERSION, kind) + _text(_CLIENT_ID)
    request = head + _text(b"streamer-probe") + struct.pack(">b", kind)
    connection.sendall(struct.pack(">i", len(request)) + request)
    (length,) = struct.unpack(">i", _exactly(connection, 4))
    response = _exactly(connection, length)
    _correlation, _throttle_ms, error = struct.unpack_from(">iih", response)
    return bool(error == 0)


def _text(value: bytes) -> bytes:
    return struct.pack(">h", len(value)) + value


def _exactly(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        chunk = connection.recv(count - len(received))
        if not chunk:
            raise ConnectionResetError("the node closed the connection")
        received += chunk
    return received

"""A network between daemon and broker that stalls, breaks and loses on request."""

import contextlib
import socket
import struct
import time
from threading import Event, Lock, Thread
from typing import Literal, Self

Mode = Literal["pass", "stall", "reset", "halve"]
_CHUNK = 65536
_HOST = "127.0.0.1"
_LOOK_EVERY_S = 0.05
_AT_ONCE = struct.pack("ii", 1, 0)


class Proxy:
    """Carries bytes between its port and a broker's, and rewrites none of them.

    The broker has to advertise the proxy's port, so that clients stay on this way.

    Modes: `pass` carries; `stall` keeps connections and carries nothing; `reset` breaks each
    connection and refuses new ones; `halve` loses the second half of whatever is sent at once.
    """

    def __init__(self, port: int, target: int) -> None:
        self._target = target
        self._mode: Mode = "pass"
        self._closing = Event()
        self._lock = Lock()
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server((_HOST, port), backlog=64)
        self._thread = Thread(target=self._accept, name="proxy", daemon=True)
        self._thread.start()
        self.harmed = 0
        """Bytes that were held up or lost, and connections that were broken."""

    def set(self, mode: Mode) -> None:
        """Carry bytes this way from now on."""
        self._mode = mode
        if mode == "reset":
            self._break_all()

    def close(self) -> None:
        """Break all connections and listen no more."""
        self._closing.set()
        self._listener.close()
        self._break_all()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        self._listener.settimeout(_LOOK_EVERY_S)
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                if self._closing.is_set():
                    return
                continue
            try:
                broker = socket.create_connection((_HOST, self._target), timeout=5)
            except OSError:
                _broken(client)
                continue
            client.settimeout(None)
            broker.settimeout(None)
            if self._mode == "reset":
                self.harmed += 1
                _broken(client)
                _broken(broker)
                continue
            with self._lock:
                self._sockets |= {client, broker}
            for one, other in ((client, broker), (broker, client)):
                Thread(target=self._carry, args=(one, other), name="carry", daemon=True).start()

    def _carry(self, origin: socket.socket, goal: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := origin.recv(_CHUNK):
                while self._mode == "stall" and not self._closing.is_set():
                    self.harmed += len(chunk)
                    time.sleep(_LOOK_EVERY_S)
                if self._mode == "halve":
                    self.harmed += len(chunk) - len(chunk) // 2
                    chunk = chunk[: len(chunk) // 2]
                goal.sendall(chunk)
        with self._lock:
            self._sockets -= {origin, goal}
        _broken(origin)
        _broken(goal)

    def _break_all(self) -> None:
        with self._lock:
            broken, self._sockets = self._sockets, set()
        self.harmed += len(broken)
        for one in broken:
            _broken(one)


def _broken(one: socket.socket) -> None:
    """Close a connection without a word, as a router that forgets it does."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()

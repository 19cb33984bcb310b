"""kafka-python's sockets, read in larger pieces.

It reads 4 kB at a time until nothing is left, and gives up the interpreter for each: ninety times
for a picture, each time at the end of a queue of threads.
"""

import socket

from kafka.net.inet import KafkaNetSocket

DIRECT = "direct://"
"""In the place of a proxy's address, where kafka-python looks up whose sockets to use."""
_READ_BYTES = 64 * 2**10


class _Socket(socket.socket):
    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Read what is there, more than was asked for too: the client takes whatever it gets."""
        return super().recv(max(size, _READ_BYTES), flags)


class DirectSocket(KafkaNetSocket):  # type: ignore[misc] # kafka-python has no types
    """Connects without a proxy."""

    SCHEMES = ("direct",)

    def socket(
        self,
        family: int = socket.AF_UNSPEC,
        sock_type: int = socket.SOCK_STREAM,
        proto: int = socket.IPPROTO_TCP,
    ) -> socket.socket:
        """Make a socket."""
        return _Socket(family, sock_type, proto)

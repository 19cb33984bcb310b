"""Ports of this machine for nodes to listen on."""

import errno
import random
import socket

from streamer.embedded.properties import HOST
from streamer.errors import ConfigError

# Below what Linux and macOS give to outgoing connections, one of which could take a port between
# its choice here and the moment when Kafka listens.
_CHOICE = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Return different ports that nobody listens on now, chosen at random."""
    shuffled = random.SystemRandom().sample(_CHOICE, len(_CHOICE))
    free = (port for port in shuffled if _refusal(port) is None)
    return [next(free) for _ in range(count)]


def require_free(port: int) -> None:
    """Refuse a port that cannot be listened on.

    Raises:
        ConfigError: it is taken, or not allowed.
    """
    error = _refusal(port)
    if error is not None:
        taken = error.errno == errno.EADDRINUSE
        reason = "another process listens on it" if taken else error.strerror
        raise ConfigError(
            f"port {port} of {HOST} cannot be used: {reason}; choose another port",
        ) from error


def _refusal(port: int) -> OSError | None:
    with socket.socket() as probe:
        # As Java does: a port whose last connections are only lingering counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return error
    return None

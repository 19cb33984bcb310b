"""Transactional ids: stable over restarts where they can be, never shared by two processes."""

import fcntl
import secrets
import socket
import tempfile
from pathlib import Path
from typing import IO

_held: list[IO[str]] = []


def transactional_id(instance: str | None, topology: str) -> str:
    """Name this process's producer: instance, topology, and the first free number on this host.

    Correctness does not hang on it (the group fences); but a name that comes again lets the next
    process end at once what this one left open, instead of after the transaction timeout.
    """
    name = f"{instance or socket.gethostname()}-{topology}"
    for number in range(64):
        path = Path(tempfile.gettempdir()) / f"streamer-{name}-{number}.lock"
        try:
            handle = path.open("w")
        except OSError:
            break
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.close()
            continue
        _held.append(handle)  # held until the process ends
        return f"{name}-{number}"
    return f"{name}-{secrets.token_hex(4)}"

"""Answers kept for records that come again with the same value; bounded in bytes."""

from collections import OrderedDict
from hashlib import blake2b
from threading import Lock
from typing import Any

import msgspec

_DIGEST_BYTES = 16
_OVERHEAD_BYTES = 300
_TIMES = 4
"""Bytes of Python's objects for a byte of the same answer as JSON, roughly."""


def digest_of(value: bytes) -> bytes:
    """Give what stands for a value: two that differ share it by no accident."""
    return blake2b(value, digest_size=_DIGEST_BYTES).digest()


class Repeats:
    """The answers of one model version that were asked for last.

    They belong to the version: another one starts with none. Of use to several threads.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._taken = 0
        self._lock = Lock()
        self._kept: OrderedDict[tuple[object, bytes], tuple[Any, int]] = OrderedDict()

    def get(self, step: object, digest: bytes) -> tuple[Any] | None:
        """Give a step's output for a value, in a tuple of one; None if it is not kept."""
        with self._lock:
            found = self._kept.get((step, digest))
            if found is None:
                return None
            self._kept.move_to_end((step, digest))
            return (found[0],)

    def put(self, step: object, digest: bytes, output: Any) -> None:
        """Keep an output; what was not asked for longest makes room.

        What JSON has no word for is not kept: it becomes a dead letter where it is written.
        """
        try:
            size = _OVERHEAD_BYTES + _TIMES * len(msgspec.json.encode(output))
        except (TypeError, ValueError, OverflowError, RecursionError):
            return
        if size > self._limit:
            return
        with self._lock:
            if (step, digest) in self._kept:
                return
            self._kept[step, digest] = (output, size)
            self._taken += size
            while self._taken > self._limit:
                _, (_, freed) = self._kept.popitem(last=False)
                self._taken -= freed

    @property
    def taken_bytes(self) -> int:
        """What is kept, roughly."""
        with self._lock:
            return self._taken

    def __len__(self) -> int:
        with self._lock:
            return len(self._kept)

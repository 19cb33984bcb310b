"""One memory budget for everything in a line."""

from threading import Lock


class Budget:
    """Counts bytes that are taken and given back.

    A record larger than the whole budget passes alone, so that none stops the line.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._taken = 0
        self._lock = Lock()

    @property
    def taken_bytes(self) -> int:
        """Bytes taken now."""
        with self._lock:
            return self._taken

    @property
    def limit_bytes(self) -> int:
        """Bytes there are."""
        return self._limit

    @property
    def left_bytes(self) -> int:
        """Bytes that may still be taken."""
        with self._lock:
            return max(self._limit - self._taken, 0)

    def fits(self, size_bytes: int) -> bool:
        """Whether bytes may be taken now: they are left, or nothing is taken at all."""
        with self._lock:
            return not self._taken or self._taken + size_bytes <= self._limit

    def take(self, size_bytes: int) -> None:
        """Take bytes; a single thread takes, after it asked whether they fit."""
        with self._lock:
            self._taken += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self._taken -= size_bytes
            if self._taken < 0:
                message = f"{-self._taken} bytes more were given back than taken"
                raise ValueError(message)

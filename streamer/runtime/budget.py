"""One memory budget for everything in a line."""

from threading import Lock


class Budget:
    """Counts bytes that are taken and given back.

    A wave larger than the whole budget passes alone, so that no record stops the line.
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

    def take(self, size_bytes: int) -> bool:
        """Take bytes; False if they are not there now."""
        with self._lock:
            if self._taken and self._taken + size_bytes > self._limit:
                return False
            self._taken += size_bytes
            return True

    def give_back(self, size_bytes: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self._taken -= size_bytes
            if self._taken < 0:
                message = f"{-self._taken} bytes more were given back than taken"
                raise ValueError(message)

"""Arrays in memory that two processes share."""

import errno
import mmap
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from streamer.infer.session import OutOfMemoryError

_SHM = Path("/dev/shm")  # noqa: S108 - memory, where the system offers it as a folder
_ALIGN = 64
_FIRST_BYTES = 2**20

Spec = dict[str, Any]
"""An array's place: dtype, shape and offset; or `strings` and shape where it holds texts."""


class Arena:
    """A block of shared memory that one process writes and the other reads, in turns.

    The block is a file without a name: it goes with the last process that holds it.
    """

    def __init__(self, fd: int | None = None) -> None:
        self._file: IO[bytes] | None = None
        if fd is None:
            self._file = tempfile.TemporaryFile(dir=_SHM if _SHM.is_dir() else None)  # noqa: SIM115
            fd = self._file.fileno()
            os.ftruncate(fd, _FIRST_BYTES)
        self.fd = fd
        self._reserved = 0
        self._map = mmap.mmap(fd, os.fstat(fd).st_size)

    def write(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Spec]:
        """Copy arrays in, over what was there; give their places.

        Raises:
            OutOfMemoryError: shared memory is full.
        """
        specs: dict[str, Spec] = {}
        end = 0
        for name, array in arrays.items():
            if array.dtype.kind in "OUS":
                strings = [text if isinstance(text, bytes) else str(text) for text in array.ravel()]
                specs[name] = {"strings": strings, "shape": list(array.shape)}
                continue
            specs[name] = {"dtype": array.dtype.str, "shape": list(array.shape), "at": end}
            end += -(-array.nbytes // _ALIGN) * _ALIGN
        if end > self._reserved:
            _reserve(self.fd, end)
            self._reserved = end
        if end > len(self._map):
            self._remap()
        for name, spec in specs.items():
            if "at" in spec:
                self._view(spec)[...] = arrays[name]
        return specs

    def read(self, specs: Mapping[str, Spec]) -> dict[str, NDArray[Any]]:
        """Copy arrays out."""
        if os.fstat(self.fd).st_size != len(self._map):
            self._remap()
        return {
            name: np.array(spec["strings"], dtype=object).reshape(spec["shape"])
            if "strings" in spec
            else self._view(spec).copy()
            for name, spec in specs.items()
        }

    def _view(self, spec: Spec) -> NDArray[Any]:
        """Look at an array in place.

        Raises:
            ValueError: the place is not within the block.
        """
        return np.ndarray(
            tuple(spec["shape"]), np.dtype(spec["dtype"]), buffer=self._map, offset=spec["at"]
        )

    def _remap(self) -> None:
        self._map.close()
        self._map = mmap.mmap(self.fd, os.fstat(self.fd).st_size)

    def close(self) -> None:
        """Let go of the block."""
        self._map.close()
        if self._file is not None:
            self._file.close()


def _reserve(fd: int, size: int) -> None:
    """Make a file so large, its memory taken: what is missing would end the process that writes."""
    if not hasattr(os, "posix_fallocate"):  # macOS
        os.ftruncate(fd, size)
        return
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise OutOfMemoryError(
            f"shared memory has no {size / 2**20:.0f} MiB left for a batch: give it more "
            "(docker run --shm-size, daemon.sharedMemory of the chart)"
        ) from error

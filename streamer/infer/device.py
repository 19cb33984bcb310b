"""Which device a session runs on: `auto`, `cpu`, `cuda:N`, or a GPU's UUID."""

import ctypes
import uuid
from collections.abc import Iterable
from functools import cache

from streamer.errors import ModelError

LIBRARIES = ("libcuda.so.1", "libcuda.so", "nvcuda.dll")
"""Names of CUDA's driver."""


IN_FLIGHT = 2
"""Batches that a GPU is given at once: one is copied, put together and read on the CPU while the
other is computed. A third would wait for both, and hold memory."""


def cuda_index(device: str) -> int:
    """Give the number that CUDA gives a device.

    Raises:
        ModelError: no device has that UUID.
    """
    if device.startswith("cuda"):
        return int(device.partition(":")[2] or 0)
    known = gpu_uuids()
    wanted = device.partition("-")[2].lower()
    for index, name in enumerate(known):
        if name.partition("-")[2] == wanted:
            return index
    seen = ", ".join(known) if known else "none"
    raise ModelError(f"device {device}: no such GPU is visible here; visible are: {seen}")


@cache
def gpu_uuids() -> tuple[str, ...]:
    """List the UUIDs of the GPUs visible to this process, in CUDA's order.

    Asks the driver itself: its order is the one that counts, and it knows MIG slices.
    """
    driver = first_library(LIBRARIES)
    count = ctypes.c_int()
    if driver is None or driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return ()
    ask = getattr(driver, "cuDeviceGetUuid_v2", driver.cuDeviceGetUuid)
    names = []
    for index in range(count.value):
        handle = ctypes.c_int()
        raw = (ctypes.c_ubyte * 16)()
        if driver.cuDeviceGet(ctypes.byref(handle), index) or ask(ctypes.byref(raw), handle):
            return ()
        names.append(f"GPU-{uuid.UUID(bytes=bytes(raw))}")
    return tuple(names)


def first_library(names: Iterable[str]) -> ctypes.CDLL | None:
    """Give the first library that loads; None where none does."""
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None

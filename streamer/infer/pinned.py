"""Memory on the host that a GPU reads by itself: pages that stay in place (pinned, page-locked)."""

import ctypes
import mmap
import weakref
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from streamer.infer.device import LIBRARIES, first_library

_PORTABLE = 1  # CU_MEMHOSTREGISTER_PORTABLE: for every context of the process
_LEAST_BYTES = 2**16

_log = structlog.get_logger(__name__)


class Buffers:
    """The inputs of one batch in flight, in memory that the next batch uses again.

    To copy from pageable memory the driver first copies into pinned pages of its own, and keeps
    the thread waiting; to pin memory anew for each batch takes longer than the copy.
    """

    def __init__(self, index: int | None, driver: Any = None) -> None:
        """Prepare for a device's number, None for memory as it is; the driver if not CUDA's own."""
        self._index = index
        self._driver = driver
        self._kept: dict[str, NDArray[np.uint8]] = {}

    def filled(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        """Give a copy of an array, where the tensor's arrays always are."""
        kept = self._kept.get(name)
        if kept is None or kept.nbytes < array.nbytes:
            # Twice as large each time: texts of all lengths settle after some batches.
            size = max(_LEAST_BYTES, 1 << max(array.nbytes - 1, 0).bit_length())
            self._kept.pop(name, None)
            kept = self._kept[name] = _memory(size, self._index, self._driver)
        view = kept[: array.nbytes].view(array.dtype).reshape(array.shape)
        np.copyto(view, array)
        return view


def _memory(size: int, index: int | None, driver: Any) -> NDArray[np.uint8]:
    """Give whole pages of the process's own, pinned if that can be done."""
    block = np.frombuffer(mmap.mmap(-1, size), np.uint8)
    if index is None:
        return block
    driver = driver or first_library(LIBRARIES)
    failed = -1 if driver is None else _pinned(driver, index, block)
    if failed:
        _log.debug("memory is not pinned: copies to the GPU are slower", bytes=size, code=failed)
    return block


def _pinned(driver: Any, index: int, block: NDArray[np.uint8]) -> int:
    """Pin a block for as long as it lives; give CUDA's code of what went wrong, or 0."""
    context, device = ctypes.c_void_p(), ctypes.c_int()
    address = ctypes.c_void_p(block.ctypes.data)
    failed: int = (
        driver.cuInit(0)
        or driver.cuDeviceGet(ctypes.byref(device), index)
        or driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)
        or driver.cuCtxPushCurrent_v2(context)
    )
    if failed:
        return failed
    try:
        failed = driver.cuMemHostRegister_v2(address, ctypes.c_size_t(block.nbytes), _PORTABLE)
    finally:
        driver.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))
    if not failed:
        # The frameworks keep the device's context; what is still pinned at the end goes with it.
        weakref.finalize(block, _unpinned, driver, context, address).atexit = False
    return failed


def _unpinned(driver: Any, context: ctypes.c_void_p, address: ctypes.c_void_p) -> None:
    if not driver.cuCtxPushCurrent_v2(context):
        driver.cuMemHostUnregister(address)
        driver.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))

"""How memory is kept: decoded pictures, batches and records come and go in many threads."""

import ctypes
import gc
import sys

# malloc.h of glibc; see mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGE_BYTES = 256 * 2**10
_COLLECT_AFTER = (50_000, 20, 20)
"""Objects between two searches for cycles. A wave holds some ten thousand, none of them in a cycle:
by Python's own 700, they are looked through over and over, for a quarter of the line's time."""


def steady_memory() -> None:
    """Let freed memory go back to the system instead of piling up in each thread's arena.

    glibc opens up to eight arenas a core, and after the first large block is freed it keeps blocks
    of up to 32 MiB for itself; with pictures of changing sizes that is memory which never settles.
    Two arenas, and large blocks straight from the system, keep it level. Elsewhere nothing is done.
    Python, for its part, looks for cycles among objects more rarely.
    """
    gc.set_threshold(*_COLLECT_AFTER)
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return
    mallopt(_M_ARENA_MAX, 2)
    mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
    mallopt(_M_TRIM_THRESHOLD, 2 * _LARGE_BYTES)

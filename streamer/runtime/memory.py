"""How memory is kept: decoded pictures, batches and records come and go in many threads."""

import ctypes
import gc
import sys
from collections.abc import Callable
from typing import Any

# malloc.h of glibc; see mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
_SPARE_BYTES = 128 * 2**20
"""Room for what is decoded at once: three pictures of 12 megapixels. With half as much, pages came
and went with every large one: 1.2 ms more of the processor for each of pictures of 0.1 to 12."""
_COLLECT_AFTER = (200_000, 20, 20)
"""Objects more than at the last search for cycles. A wave holds some ten thousand, none of them in
a cycle, and a full line some hundred thousand that come and go: by Python's own 700 they are looked
through over and over, for a quarter of the line's time; by 50,000, for a sixteenth."""


def steady_memory() -> None:
    """Let freed memory be used again by every thread, and go back to the system beyond a bound.

    glibc opens up to eight arenas a core, each of which keeps what its threads have freed; with
    pictures of changing sizes that is memory which never settles. One arena keeps it level. To take
    large blocks from the system each time and give them straight back does so too, but then every
    page of every picture is faulted in anew: a quarter of the processor time of a small classifier.
    So no block is the system's own, however large, and `give_back_memory` returns what is free.
    Elsewhere than on glibc nothing is done. Python, for its part, looks for cycles among objects
    more rarely.
    """
    gc.set_threshold(*_COLLECT_AFTER)
    mallopt = _of_libc("mallopt")
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, _SPARE_BYTES)


def give_back_memory() -> None:
    """Give the system back what is free between blocks in use; to be called now and then.

    By itself glibc gives back what lies at the heap's end only. Pictures of changing sizes leave
    holes, after a minute as large together as what is in use.
    """
    trim = _of_libc("malloc_trim")
    if trim is not None:
        trim(0)


def _of_libc(name: str) -> Callable[..., Any] | None:
    """Give a function of glibc's; None elsewhere."""
    if not sys.platform.startswith("linux"):
        return None
    found: Callable[..., Any] | None = getattr(ctypes.CDLL(None), name, None)  # None: musl
    return found

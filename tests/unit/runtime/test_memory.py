import ctypes
import sys
from pathlib import Path

import pytest

from streamer.runtime import give_back_memory

PIECES = 2000
PIECE = 100_000
GLIBC = sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "malloc_trim")


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not GLIBC, reason="platform: only glibc keeps memory so")
def test_what_is_free_between_blocks_in_use_goes_back_to_the_system():
    pieces = [bytes(PIECE) + b"." for _ in range(PIECES)]
    del pieces[::2]  # every hole lies between two that are in use
    before = resident_bytes()
    give_back_memory()
    assert before - resident_bytes() > 0.25 * PIECES * PIECE / 2
    assert len(pieces) == PIECES // 2

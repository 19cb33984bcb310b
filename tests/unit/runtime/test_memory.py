import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from streamer.runtime import give_back_memory

PIECES = 2000
PIECE = 100_000
GLIBC = sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "malloc_trim")


AGAIN = """
import resource
from streamer.runtime import steady_memory
steady_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
first = bytearray(36_000_000)
del first
before = faults()
for _ in range(20):
    picture = bytearray(36_000_000)
    del picture
print(faults() - before)
"""


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


@pytest.mark.skipif(not GLIBC, reason="platform: only glibc keeps memory so")
def test_memory_of_a_large_picture_is_used_again_without_new_pages():
    command = [sys.executable, "-c", AGAIN]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - ours
    assert int(done.stdout) < 36_000_000 // 4096

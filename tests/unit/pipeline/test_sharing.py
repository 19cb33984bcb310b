"""One session or several: by a clock that sessions move themselves, so no machine decides."""

from threading import Lock

import pytest

from streamer.pipeline.sharing import one_is_faster


class Clock:
    def __init__(self):
        self.now = 0.0
        self.lock = Lock()

    def __call__(self):
        with self.lock:
            return self.now


class Ticking:
    """A session whose runs move the clock on; several that run at once share the time."""

    def __init__(self, clock, seconds):
        self.clock = clock
        self.seconds = seconds
        self.ran = 0

    def run(self, feeds):
        with self.clock.lock:
            self.clock.now += self.seconds
            self.ran += 1


@pytest.mark.parametrize(("alone", "faster"), [(0.001, True), (0.0019, False), (0.004, False)])
def test_one_session_takes_over_only_where_it_is_clearly_faster(alone, faster):
    clock = Clock()
    several = [Ticking(clock, 0.002), Ticking(clock, 0.002)]
    one = Ticking(clock, alone)
    assert one_is_faster(several, one, {}, clock) is faster
    assert one.ran
    assert all(session.ran for session in several)

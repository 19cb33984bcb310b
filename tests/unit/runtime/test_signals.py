import signal
from queue import Empty

import pytest

from streamer.runtime import queued_signals


@pytest.fixture(autouse=True)
def as_before():
    before = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_signals_are_queued_and_raise_nothing():
    found = queued_signals(signal.SIGINT, signal.SIGTERM)
    with pytest.raises(Empty):
        found.get_nowait()
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)
    assert [found.get_nowait(), found.get_nowait()] == [signal.SIGINT, signal.SIGTERM]


def test_a_signal_ends_the_wait_for_it():
    found = queued_signals(signal.SIGALRM)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    assert found.get(timeout=30) == signal.SIGALRM

import signal
from queue import Empty, SimpleQueue
from threading import Lock

import pytest

from streamer.runtime import on_signals, queued_signals

pytestmark = pytest.mark.usefixtures("signals")


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


def test_who_is_told_may_wait_for_a_lock_that_the_interrupted_code_holds():
    lock, told = Lock(), SimpleQueue()

    def tell(number):
        with lock:
            told.put(number)

    on_signals(tell, signal.SIGALRM)
    with lock:
        signal.raise_signal(signal.SIGALRM)
    assert told.get(timeout=30) == signal.SIGALRM
    signal.raise_signal(signal.SIGALRM)
    assert told.get(timeout=30) == signal.SIGALRM

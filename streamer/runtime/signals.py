"""Signals as items of a queue: a handler that raises, or takes a lock, may do so anywhere."""

import signal
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from types import FrameType


def queued_signals(*numbers: signal.Signals) -> SimpleQueue[int]:
    """Have signals put into a queue from now on; to be called in the main thread.

    They are heard also where SIGINT was ignored at the start, as a shell has it for what it runs
    in the background. `SimpleQueue.put` may interrupt anything: a handler that raises may leave a
    lock taken, and an event's own lock may be held by the code that is interrupted.
    """
    found: SimpleQueue[int] = SimpleQueue()

    def put(number: int, _frame: FrameType | None) -> None:
        found.put(number)

    for number in numbers:
        signal.signal(number, put)
    return found


def on_signals(told: Callable[[int], None], *numbers: signal.Signals) -> None:
    """Have a thread told of each signal from now on: unlike a handler, it may wait for a lock.

    To be called in the main thread.
    """
    found = queued_signals(*numbers)

    def tell() -> None:
        while True:
            told(found.get())

    Thread(target=tell, name="signals", daemon=True).start()

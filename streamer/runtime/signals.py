"""Signals as items of a queue: a handler that raises, or takes a lock, may do so anywhere."""

import signal
from queue import SimpleQueue
from types import FrameType


def queued_signals(*numbers: signal.Signals) -> SimpleQueue[int]:
    """Have signals put into a queue from now on; to be called in the main thread.

    An exception out of a handler may be lost in a callback, or leave a lock taken; an event's own
    lock may be held by the very code that the handler interrupts. Only `SimpleQueue.put` is safe.
    """
    found: SimpleQueue[int] = SimpleQueue()

    def put(number: int, _frame: FrameType | None) -> None:
        found.put(number)

    for number in numbers:
        signal.signal(number, put)
    return found

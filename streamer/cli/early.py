"""The first moments of a command that runs until it is told to stop."""

import os
import signal
from types import FrameType


def ends_when_told() -> None:
    """Have SIGTERM end the process at once, and well, until the command takes the signal over.

    Libraries are still being loaded and nothing is in flight. The first process of a container
    would not even hear a signal that it has no handler for.
    """
    signal.signal(signal.SIGTERM, _ended)


def _ended(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)

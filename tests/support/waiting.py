"""Waiting for conditions: time decides only that a test has failed."""

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

PATIENCE_S = 60.0
_EVERY_S = 0.05


def eventually(
    ask: Callable[[], Result],
    what: str,
    patience: float = PATIENCE_S,
    every: float = _EVERY_S,
) -> Result:
    """Ask until the answer is true, and give it."""
    deadline = time.monotonic() + patience
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            message = f"not within {patience:.0f} s: {what} (last seen: {answer!r})"
            raise AssertionError(message)
        time.sleep(every)

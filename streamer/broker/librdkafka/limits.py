"""A time limit for calls of librdkafka that keep to none.

A call left to itself comes to its end with the next change of the client's connections, at the
latest when the broker closes one that is idle.
"""

from collections.abc import Callable
from threading import Thread


def ended(call: Callable[[], object], seconds: float) -> bool:
    """Run a call in a thread of its own; False, and it is left to itself, if it takes longer.

    Raises:
        Exception: what the call raised.
    """
    raised: list[Exception] = []

    def run() -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - raised again by who waits
            raised.append(error)

    running = Thread(target=run, name="limited", daemon=True)
    running.start()
    running.join(seconds)
    if raised:
        raise raised[0]
    return not running.is_alive()

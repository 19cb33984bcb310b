"""How soon a transaction's requests are tried again."""

from time import sleep
from typing import Any
from weakref import WeakKeyDictionary

_FIRST_S = 0.0005


def retry_soon(client: Any) -> None:
    """Let a transaction of a `KafkaProducer` begin as soon as the one before it is complete.

    A commit is answered once it is certain; its markers are written behind that, which takes a few
    milliseconds. What begins meanwhile is refused (CONCURRENT_TRANSACTIONS), and before each
    further try the client sleeps `retry_backoff_ms`. Here the first pause is much shorter, and each
    one twice the one before, until they are as long as the client's.
    """
    manager = client._transaction_manager  # noqa: SLF001 - it has no public word for any of it
    longest = client.config["retry_backoff_ms"] / 1000
    next_handler = manager.next_request_handler
    pauses: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    def handler_after_pause(has_incomplete_batches: bool) -> Any:  # noqa: FBT001 - as the client's
        handler = next_handler(has_incomplete_batches)
        if handler is not None and handler.is_retry:
            pause = pauses.get(handler, _FIRST_S)
            if pause < longest:
                pauses[handler] = 2 * pause
                sleep(pause)
                handler._is_retry = False  # noqa: SLF001 - the client is not to sleep as well
        return handler

    manager.next_request_handler = handler_after_pause

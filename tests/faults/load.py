"""A producer of numbered records, at a steady rate, that lives through faults."""

import contextlib
import time
from threading import Event, Thread
from typing import Any

from kafka import KafkaProducer, errors
from support.waiting import eventually

from faults.ledger import text_of

_DELIVERY_MS = 300_000
_EVERY_S = 0.05


class Load:
    """Writes records to a topic from a thread until told to stop.

    Args:
        brokers: where they are written to.
        topic: what they are written to, one partition after the other.
        partitions: how many it has.
        rate: records a second; 0 for as fast as it goes.
        most: records at the most.

    Attributes:
        sent: how many records are sent.
        times: when each was, by the monotonic clock.
    """

    def __init__(
        self, brokers: str, topic: str, partitions: int, *, rate: float, most: int = 10**9
    ) -> None:
        self._producer = KafkaProducer(
            bootstrap_servers=brokers.split(","),
            acks="all",
            delivery_timeout_ms=_DELIVERY_MS,
            linger_ms=5,
            retry_backoff_ms=200,
            reconnect_backoff_ms=200,
        )
        self._topic = topic
        self._partitions = partitions
        self._rate = rate
        self._most = most
        self._stopping = Event()
        self._pending: list[Any] = []
        self._thread = Thread(target=self._run, name="load", daemon=True)
        self.sent = 0
        self.times: list[float] = []
        self._thread.start()

    def wait_for(self, records: int, patience: float = 600) -> None:
        """Wait until so many records are sent."""
        eventually(lambda: self.sent >= records, f"{records} records are sent", patience)

    def stop(self) -> int:
        """Send nothing more; fail if a record was not acknowledged, else give how many were."""
        self._stopping.set()
        return self.finish()

    def abandon(self) -> None:
        """Send nothing more, whatever became of what was sent: the test has failed."""
        self._stopping.set()
        self._thread.join()
        with contextlib.suppress(errors.KafkaError):  # what is not sent by now will never be
            self._producer.close(timeout=0)

    def finish(self) -> int:
        """Wait until all is sent and acknowledged."""
        self._thread.join()
        self._producer.flush()
        failed = [one.exception for one in self._pending if not one.succeeded()]
        self._producer.close()
        assert not failed, failed[0]
        return self.sent

    def _run(self) -> None:
        began = time.monotonic()
        while not self._stopping.is_set() and self.sent < self._most:
            due = self._most
            if self._rate:
                due = min(due, int((time.monotonic() - began) * self._rate))
            for number in range(self.sent, due):
                if self._stopping.is_set():
                    break
                self._send(number)
            if self.sent < self._most:
                self._stopping.wait(_EVERY_S)

    def _send(self, number: int) -> None:
        record = text_of(number)
        self.times.append(time.monotonic())
        self._pending.append(
            self._producer.send(
                self._topic,
                record.value,
                record.key,
                headers=list(record.headers),
                partition=number % self._partitions,
                timestamp_ms=record.timestamp,
            )
        )
        self.sent = number + 1

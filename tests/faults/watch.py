"""Sees from outside what goes on while it goes on: open transactions, and when answers come."""

import time
from collections.abc import Iterable, Mapping
from threading import Event, Lock, Thread
from typing import Any, Literal

from kafka import KafkaConsumer, TopicPartition, errors
from support.topics import Got
from support.waiting import eventually

Ends = dict[tuple[str, int], int]
Isolation = Literal["read_committed", "read_uncommitted"]


class Watch:
    """Reads a flow's outputs as they are committed, from a thread, and notes when each came.

    Args:
        brokers: where the topics are.
        outputs: topics of predictions and dead letters.
    """

    def __init__(self, brokers: str, outputs: Iterable[str]) -> None:
        self._brokers = brokers.split(",")
        self._stopping = Event()
        self._lock = Lock()
        self._arrivals: list[tuple[float, tuple[str, int], int, int]] = []
        self._askers: dict[Isolation, KafkaConsumer] = {}
        self._tail = self._consumer("read_committed")
        self._places = [
            TopicPartition(topic, partition)
            for topic in outputs
            for partition in sorted(self._tail.partitions_for_topic(topic) or ())
        ]
        assert self._places, f"no partitions of {outputs}"
        self._tail.assign(self._places)
        self._tail.seek_to_beginning(*self._places)
        self._thread = Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    @property
    def count(self) -> int:
        """Answers that have come."""
        with self._lock:
            return len(self._arrivals)

    def ends(self) -> Ends:
        """Give the ends of the outputs, whatever is committed of them."""
        return self._asked("read_uncommitted")

    def in_doubt(self) -> dict[tuple[str, int], int]:
        """Give where the oldest open transaction of an output begins, of those that have one."""
        stable = self._asked("read_committed")
        ends = self._asked("read_uncommitted")
        return {place: stable[place] for place, end in ends.items() if end > stable[place]}

    def answered_again(
        self, ends: Mapping[tuple[str, int], int], partitions: Iterable[int], patience: float
    ) -> float:
        """Wait until each of these source partitions has an answer behind the given ends.

        Returns:
            When the last of them had its first one, in monotonic seconds.
        """
        wanted = set(partitions)

        def seen() -> float | None:
            with self._lock:
                first: dict[int, float] = {}
                for at, place, offset, partition in self._arrivals:
                    if offset >= ends.get(place, 0):
                        first.setdefault(partition, at)
            return max(first[p] for p in wanted) if wanted <= first.keys() else None

        return eventually(seen, f"answers of {wanted}", patience) or 0.0

    def wait_for_more(self, records: int, patience: float = 120) -> None:
        """Wait until so many further answers have come."""
        goal = self.count + records
        eventually(lambda: self.count >= goal, f"{records} further answers", patience)

    def close(self) -> None:
        """Stop reading."""
        self._stopping.set()
        self._thread.join()
        for consumer in (self._tail, *self._askers.values()):
            consumer.close()

    def _asked(self, isolation: Isolation) -> Ends:
        """Ask for the ends; a client that a fault has led astray is replaced."""
        deadline = time.monotonic() + 90
        while True:
            try:
                if isolation not in self._askers:
                    self._askers[isolation] = self._consumer(isolation)
                found = self._askers[isolation].end_offsets(self._places)
            except errors.KafkaError:
                if time.monotonic() > deadline:
                    raise
                if isolation in self._askers:
                    self._askers.pop(isolation).close()
                time.sleep(0.2)
            else:
                return {(place.topic, place.partition): end for place, end in found.items()}

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                polled: dict[Any, Any] = self._tail.poll(timeout_ms=100, max_records=5000)
            except errors.KafkaError:
                self._stopping.wait(0.2)
                continue
            if not polled:  # without a broker the client does not wait
                self._stopping.wait(0.02)
            now = time.monotonic()
            found = [
                (now, (one.topic, one.partition), one.offset, _source_partition(one))
                for records in polled.values()
                for one in records
            ]
            with self._lock:
                self._arrivals += found

    def _consumer(self, isolation: Isolation) -> KafkaConsumer:
        return KafkaConsumer(
            bootstrap_servers=self._brokers,
            group_id=None,
            enable_auto_commit=False,
            isolation_level=isolation,
            fetch_max_wait_ms=100,
            request_timeout_ms=10_000,
            reconnect_backoff_max_ms=1000,
        )


def _source_partition(one: Any) -> int:
    found = Got(one.partition, one.offset, one.key, one.value, tuple(one.headers), one.timestamp)
    return found.source[1]

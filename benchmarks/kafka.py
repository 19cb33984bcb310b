"""Kafka as the benchmarks use it: one node, topics filled before, answers timed by the broker."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import psutil
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from streamer.embedded import EmbeddedKafka

_MAX_BYTES = 16 * 2**20
_QUIET_S = 0.1
_LEAST_S = 0.001
"""What the broker's clock tells apart: few answers may all have one time."""


@dataclass(frozen=True)
class Arrivals:
    """When the broker wrote each answer, in seconds since the epoch, sorted."""

    times: Sequence[float]

    def part(self, begin: float, end: float) -> float:
        """Give answers a second between two shares of the answers."""
        last = len(self.times) - 1
        first, upto = self.times[int(begin * last)], self.times[int(end * last)]
        counted = sum(first < time <= upto for time in self.times)
        return counted / max(upto - first, _LEAST_S)

    def rate(self, lead: int) -> float:
        """Give answers a second, those after the first `lead`."""
        began, ended = self.times[lead], self.times[-1]
        counted = sum(time > began for time in self.times)  # a batch has one time: not half of it
        return counted / max(ended - began, _LEAST_S)


class Kafka:
    """An embedded broker for one run of the benchmarks."""

    def __init__(self) -> None:
        self._broker = EmbeddedKafka(port=0)

    def __enter__(self) -> Self:
        self._broker.__enter__()
        self.process = psutil.Process(self._broker.pid)
        self.servers = self._broker.bootstrap_servers
        self._admin = KafkaAdminClient(bootstrap_servers=self.servers)
        return self

    def __exit__(self, *error: object) -> None:
        self._admin.close()
        self._broker.__exit__(*error)  # type: ignore[arg-type]

    def topic(self, name: str, partitions: int = 1) -> str:
        """Create a topic whose records carry the broker's time of writing."""
        settings = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(_MAX_BYTES)}
        new = NewTopic(name, partitions, 1, topic_configs=settings)
        self._admin.create_topics([new])
        return name

    def drop(self, *topics: str) -> None:
        """Delete topics whose figures are taken: pictures of nine rounds would fill a disk."""
        self._admin.delete_topics(list(topics))

    def fill(
        self,
        topic: str,
        values: Iterable[bytes],
        keys: Iterable[bytes],
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Write records, acknowledged when this returns."""
        with self.producer(linger_ms=20) as producer:
            for value, key in zip(values, keys, strict=False):
                producer.send(topic, value, key, headers=list(headers))
            producer.flush()

    def producer(self, linger_ms: int = 0) -> KafkaProducer:
        """Give a producer for records as large as the topics take."""
        return KafkaProducer(
            bootstrap_servers=self.servers, max_request_size=_MAX_BYTES, linger_ms=linger_ms
        )

    def reader(self, topic: str) -> KafkaConsumer:
        """Give a consumer of a topic's committed records, from the first on."""
        consumer = KafkaConsumer(
            bootstrap_servers=self.servers,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_bytes=64 * 2**20,
            max_partition_fetch_bytes=_MAX_BYTES,
        )
        consumer.assign([TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic)])
        return consumer

    def arrivals(
        self,
        topic: str,
        count: int,
        patience: float,
        ended: Callable[[], bool],
        answered: Callable[[], None] = lambda: None,
    ) -> Arrivals:
        """Wait for answers that readers of committed records see; give when they were written.

        Args:
            topic: where they go.
            count: how many must come.
            patience: seconds.
            ended: whether who answers has ended.
            answered: called when all are written, before they are read.

        Raises:
            TimeoutError: they do not come.
        """
        with self.reader(topic) as consumer:
            partitions = consumer.assignment()
            deadline = time.monotonic() + patience
            while (found := sum(consumer.end_offsets(partitions).values())) < count:
                if ended() or time.monotonic() > deadline:
                    message = f"{found} of {count} answers came"
                    raise TimeoutError(message)
                time.sleep(_QUIET_S)
            answered()
            times: list[float] = []
            while len(times) < count and time.monotonic() < deadline:
                for records in consumer.poll(500, max_records=5000).values():
                    times += [record.timestamp / 1000 for record in records]
        if len(times) < count:
            message = f"{len(times)} of {count} answers can be read"
            raise TimeoutError(message)
        return Arrivals(sorted(times))

"""Kafka as the benchmarks use it: one node, topics filled before, answers timed by the broker."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from streamer.embedded import EmbeddedKafka

_MAX_BYTES = 16 * 2**20
_QUIET_S = 0.1


@dataclass(frozen=True)
class Arrivals:
    """When the broker wrote each answer, in seconds since the epoch, sorted."""

    times: Sequence[float]

    def rate(self, lead: int) -> float:
        """Give answers a second, those after the first `lead`."""
        began, ended = self.times[lead], self.times[-1]
        counted = sum(time > began for time in self.times)  # a batch has one time: not half of it
        return counted / (ended - began)


class Kafka:
    """An embedded broker for one run of the benchmarks."""

    def __init__(self) -> None:
        self._broker = EmbeddedKafka(port=0)

    def __enter__(self) -> Self:
        self._broker.__enter__()
        self.pid = self._broker.pid
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

    def fill(self, topic: str, values: Sequence[bytes], keys: Iterable[bytes]) -> None:
        """Write records, acknowledged when this returns."""
        producer = KafkaProducer(
            bootstrap_servers=self.servers, max_request_size=_MAX_BYTES, linger_ms=20
        )
        for value, key in zip(values, keys, strict=False):
            producer.send(topic, value, key)
        producer.flush()
        producer.close()

    def arrivals(self, topic: str, count: int, patience: float) -> Arrivals:
        """Wait for answers that readers of committed records see; give when they were written.

        Raises:
            TimeoutError: they do not come.
        """
        consumer = KafkaConsumer(
            bootstrap_servers=self.servers,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_bytes=64 * 2**20,
            max_partition_fetch_bytes=_MAX_BYTES,
        )
        partitions = [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic)]
        deadline = time.monotonic() + patience
        while sum(consumer.end_offsets(partitions).values()) < count:
            if time.monotonic() > deadline:
                found = sum(consumer.end_offsets(partitions).values())
                consumer.close()
                message = f"{topic}: {found} of {count} answers after {patience:.0f} s"
                raise TimeoutError(message)
            time.sleep(_QUIET_S)
        consumer.assign(partitions)
        times: list[float] = []
        while len(times) < count and time.monotonic() < deadline:
            for records in consumer.poll(500, max_records=5000).values():
                times += [record.timestamp / 1000 for record in records]
        consumer.close()
        if len(times) < count:
            message = f"{topic}: {len(times)} of {count} answers can be read"
            raise TimeoutError(message)
        return Arrivals(sorted(times))

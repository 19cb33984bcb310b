"""Kafka as the benchmarks use it: one node, topics filled before, answers timed by the broker."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import psutil
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer
from confluent_kafka import TopicPartition as Partition
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from streamer.embedded import EmbeddedKafka

_MAX_BYTES = 16 * 2**20
_QUIET_S = 0.1
_LOOK_EVERY_S = 0.5
"""How often the broker is asked whether all answers are there: it shares the processor."""
_STALL_S = 45.0
"""A system of which nothing has come for so long has failed."""
_LEAST_S = 0.001
"""What the broker's clock tells apart: few answers may all have one time."""


@dataclass(frozen=True)
class Arrivals:
    """When the broker wrote each answer, in seconds since the epoch, sorted."""

    times: Sequence[float]

    def part(self, begin: float, end: float) -> float:
        """Give answers a second between two shares of the answers."""
        last = len(self.times) - 1
        return self._between(int(begin * last), int(end * last))

    def rate(self) -> float:
        """Give answers a second while as much is in the line at the end as at the begin.

        Before, the line fills; a line that runs dry is faster than it ever is otherwise: what is
        read and decoded ahead need not be any more. Answers come in waves, and half a wave would
        tell nothing: both ends lie before the longest pause of a part of the answers.
        """
        return self._between(self._pause(0.1, 0.33), self._pause(0.55, 0.78))

    def _pause(self, begin: float, end: float) -> int:
        """Find the answer before the longest pause between two shares of the answers."""
        last = len(self.times) - 1
        within = range(int(begin * last), int(end * last))
        return max(within, key=lambda at: self.times[at + 1] - self.times[at], default=within.start)

    def _between(self, first: int, last: int) -> float:
        return (last - first) / max(self.times[last] - self.times[first], _LEAST_S)


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
        settings: dict[str, Any] = {
            "bootstrap.servers": self.servers,
            "linger.ms": 20,
            "batch.size": 2**14,  # as Kafka's own producer has it
            "message.max.bytes": _MAX_BYTES,
            "queue.buffering.max.messages": 2_000_000,
            "queue.buffering.max.kbytes": 2**22,
            "on_delivery": _written,
            "delivery.report.only.error": True,
        }
        producer = Producer(settings)
        for value, key in zip(values, keys, strict=False):
            producer.produce(topic, value, key, headers=list(headers))
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
        ended: Callable[[], bool],
        answered: Callable[[], None] = lambda: None,
    ) -> Arrivals:
        """Wait for answers that readers of committed records see; give when they were written.

        Args:
            topic: where they go; it has one partition.
            count: how many must come.
            ended: whether who answers has ended.
            answered: called when all are written, before they are read.

        Raises:
            TimeoutError: they do not come, or none comes for a while.
        """
        consumer = Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": f"arrivals-{topic}",  # never joined
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        times: list[float] = []
        early = False
        patience = _Patience(count, ended)
        try:
            while (found := consumer.get_watermark_offsets(Partition(topic, 0), 30)[1]) < count:
                patience.look(found)
                time.sleep(_LOOK_EVERY_S)
            answered()
            consumer.assign([Partition(topic, 0, OFFSET_BEGINNING)])
            while len(times) < count:
                for message in consumer.consume(5000, _QUIET_S):
                    if (error := message.error()) is None:
                        times.append(message.timestamp()[1] / 1000)
                    elif error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its name
                        raise KafkaException(error)
                    else:  # some offsets were those of transactions' ends
                        early = len(times) < count
                patience.look(len(times))
            if early:
                answered()
            return Arrivals(sorted(times))
        finally:
            consumer.close()


class _Patience:
    """How long to wait for answers: until none has come for a while."""

    def __init__(self, count: int, ended: Callable[[], bool]) -> None:
        self._count, self._ended = count, ended
        self._found, self._since = -1, 0.0

    def look(self, found: int) -> None:
        """Note how many there are.

        Raises:
            TimeoutError: there will not be more.
        """
        now = time.monotonic()
        if found != self._found:
            self._found, self._since = found, now
        if found < self._count and (self._ended() or now - self._since > _STALL_S):
            message = f"{found} of {self._count} answers came"
            raise TimeoutError(message)


def _written(error: KafkaError | None, _message: object) -> None:
    if error is not None:
        raise KafkaException(error)

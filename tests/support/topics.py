"""Topics of a real broker, as tests write and read them."""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewPartitions

from streamer.broker import Producer
from streamer.config.settings import KafkaSettings
from streamer.records import OutRecord
from streamer.records import TopicPartition as Partition
from support.waiting import PATIENCE_S, eventually

Headers = tuple[tuple[str, bytes | None], ...]
_POLL_MS = 200


@dataclass(frozen=True)
class Sent:
    """A record as a test writes it; `partition` None: the record's number modulo partitions."""

    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()
    partition: int | None = None
    timestamp: int | None = None


@dataclass(frozen=True)
class Got:
    """A record as a test reads it."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int

    @property
    def json(self) -> Any:
        """The value, parsed."""
        assert self.value is not None
        return json.loads(self.value)

    @property
    def source(self) -> tuple[str, int, int]:
        """Topic, partition and offset of the record that this one answers, letter or not."""
        told = dict(self.headers)
        if "streamer.error.topic" in told:
            place = [told[f"streamer.error.{part}"] for part in ("topic", "partition", "offset")]
            topic, partition, offset = ((part or b"").decode() for part in place)
            return topic, int(partition), int(offset)
        source = self.json["source"]
        return source["topic"], source["partition"], source["offset"]

    def error(self, name: str) -> str:
        """One of the headers that say why a record is a dead letter."""
        return (dict(self.headers)[f"streamer.error.{name}"] or b"").decode()


class Topics:
    """Makes, fills and reads topics; what it made goes with `close`."""

    def __init__(self, brokers: str, admin: KafkaAdminClient) -> None:
        self.brokers = brokers
        self._settings = KafkaSettings(bootstrap_servers=brokers)
        self._admin = admin
        self._made: list[str] = []
        self._producer: Producer | None = None

    def make(
        self, partitions: int = 1, *, configs: dict[str, str] | None = None, prefix: str = "test"
    ) -> str:
        """Make a topic with a name nobody used before, and a leader for every partition."""
        name = f"{prefix}-{uuid4().hex}"
        # records with old timestamps would go at the broker's next look for what is to be deleted
        kept = {"retention.ms": "-1", **(configs or {})}
        options = {"num_partitions": partitions, "replication_factor": -1, "configs": kept}
        self._admin.create_topics({name: options}, wait_for_metadata=True)
        self._made.append(name)
        return name

    def reconnect(self, admin: KafkaAdminClient) -> None:
        """Go on with another client, after a restart of the broker."""
        self._admin = admin
        if self._producer is not None:
            self._producer.close()
            self._producer = None

    def own(self, *names: str) -> None:
        """Let topics that somebody else makes go with the test."""
        self._made += names

    def grow(self, topic: str, partitions: int) -> None:
        """Add partitions."""
        self._admin.create_partitions({topic: NewPartitions(partitions)})
        eventually(lambda: self.partitions(topic) == partitions, f"{topic} has grown")

    def expire(self, topic: str, offsets: dict[int, int]) -> None:
        """Let retention remove what lies before these offsets, by partition."""
        gone = {TopicPartition(topic, partition): upto for partition, upto in offsets.items()}
        self._admin.delete_records(gone)

    def partitions(self, topic: str) -> int:
        """Count partitions; 0 if the topic is not there."""
        if topic not in self._admin.list_topics():
            return 0
        return sum(len(entry["partitions"]) for entry in self._admin.describe_topics([topic]))

    def send(
        self, topic: str, records: Iterable[Sent | bytes], partitions: int | None = None
    ) -> int:
        """Write records and wait for their acknowledgements; gives how many."""
        if self._producer is None:
            self._producer = Producer(self._settings)
        there = self._producer.partitions(topic)  # a producer must have asked before it appends
        spread = partitions or there
        pending = []
        for number, given in enumerate(records):
            record = given if isinstance(given, Sent) else Sent(given)
            place = number % spread if record.partition is None else record.partition
            out = OutRecord(
                topic,
                record.key,
                record.value,
                record.headers,
                record.timestamp,
                Partition(topic, place),
            )
            pending.append(self._producer.append(out, place))
        self._producer.flush()
        failed = [entry.failure for entry in pending if entry.failure is not None]
        assert not failed, failed[0]
        return len(pending)

    def send_transactions(
        self, topic: str, plan: Sequence[tuple[Literal["commit", "abort"], Sequence[bytes]]]
    ) -> None:
        """Write values in transactions of partition 0, some of them aborted."""
        with KafkaProducer(
            bootstrap_servers=self.brokers, transactional_id=f"test-{uuid4().hex}"
        ) as producer:
            producer.init_transactions()
            for outcome, values in plan:
                producer.begin_transaction()
                for value in values:
                    producer.send(topic, value, partition=0)
                producer.flush()
                if outcome == "commit":
                    producer.commit_transaction()
                else:
                    producer.abort_transaction()

    def ends(self, topic: str) -> dict[int, int]:
        """Give the offset behind the last record or marker of each partition."""
        with self._consumer(isolation="read_uncommitted") as consumer:
            places = _places(consumer, topic)
            return {place.partition: end for place, end in consumer.end_offsets(places).items()}

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Give a group's committed positions in a topic."""
        found = self._admin.list_group_offsets({group: None})[group]
        return {
            place.partition: entry.offset
            for place, entry in found.items()
            if place.topic == topic and entry.offset >= 0
        }

    def members(self, group: str) -> int:
        """Count a group's members."""
        found = self._admin.describe_groups([group])
        entries = found.values() if isinstance(found, dict) else found
        return sum(len(entry["members"]) for entry in entries)

    def read(
        self,
        topic: str,
        count: int = 0,
        *,
        isolation: str = "read_committed",
        patience: float = PATIENCE_S,
        alive: Callable[[], None] = lambda: None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> list[Got]:
        """Read a topic from its beginning: until `count` records are there, then to its end."""
        found: list[Got] = []
        deadline = time.monotonic() + patience
        with self._consumer(isolation) as consumer:
            places = _places(consumer, topic)
            consumer.assign(places)
            consumer.seek_to_beginning(*places)
            while len(found) < count:
                found += _polled(consumer)
                alive()
                progress(len(found))
                if time.monotonic() > deadline:
                    seen = f"{len(found)} of {count} records in {topic} within {patience:.0f} s"
                    raise AssertionError(seen)
            ends = consumer.end_offsets(places)
            while any(consumer.position(place) < end for place, end in ends.items()):
                found += _polled(consumer)
                assert time.monotonic() < deadline + PATIENCE_S, f"{topic} is not read to its end"
        return found

    def close(self) -> None:
        """Delete what was made."""
        if self._producer is not None:
            self._producer.close()
        there = self._made and set(self._admin.list_topics())
        gone = [name for name in self._made if name in there]
        if gone:
            self._admin.delete_topics(gone)

    def _consumer(self, isolation: str = "read_committed") -> KafkaConsumer:
        return KafkaConsumer(
            bootstrap_servers=self.brokers,
            group_id=None,
            enable_auto_commit=False,
            isolation_level=isolation,
            max_partition_fetch_bytes=16 * 2**20,
            fetch_max_wait_ms=100,
        )


def sources(records: Iterable[Got]) -> dict[tuple[str, int, int], int]:
    """Count how often each input record is answered."""
    counts: dict[tuple[str, int, int], int] = defaultdict(int)
    for record in records:
        counts[record.source] += 1
    return counts


def expected_sources(topic: str, ends: dict[int, int]) -> set[tuple[str, int, int]]:
    """Name all records of a topic that holds nothing but committed records."""
    return {(topic, partition, at) for partition, end in ends.items() for at in range(end)}


def in_order(records: Iterable[Got]) -> bool:
    """Whether, by output partition and input partition, source offsets only rise."""
    last: dict[tuple[int, str, int], int] = {}
    for record in records:
        topic, partition, offset = record.source
        stream = (record.partition, topic, partition)
        if offset <= last.get(stream, -1):
            return False
        last[stream] = offset
    return True


def _places(consumer: KafkaConsumer, topic: str) -> list[TopicPartition]:
    found = consumer.partitions_for_topic(topic)
    assert found, f"there is no topic {topic}"
    return [TopicPartition(topic, partition) for partition in sorted(found)]


def _polled(consumer: KafkaConsumer) -> list[Got]:
    return [
        Got(
            found.partition,
            found.offset,
            found.key,
            found.value,
            tuple(found.headers),
            found.timestamp,
        )
        for records in consumer.poll(timeout_ms=_POLL_MS, max_records=5000).values()
        for found in records
    ]

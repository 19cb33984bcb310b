"""A Kafka in memory, as a line connects to it."""

from collections.abc import Iterable

from streamer.broker.joins import Ownership
from streamer.config import Topology
from streamer.records import Headers, Record, TopicPartition
from streamer.testing.cluster import Cluster
from streamer.testing.consumer import FakeConsumer
from streamer.testing.log import Transaction
from streamer.testing.producer import FakeProducer


class FakeKafka(Cluster):
    """Topics, groups and transactions in memory, fenced as Kafka fences them.

    That is: by the epoch of a transactional id, by member and generation, never by partition, and
    positions of a transaction of no member (generation -1) not at all.

    Args:
        waits: whether an empty poll waits for something to happen, as a line's threads need it;
            without it polls return at once, for tests in one thread.
    """

    def __init__(self, *, waits: bool = True) -> None:
        super().__init__()
        self._waits = waits

    def consumer(self, topology: Topology, ownership: Ownership) -> FakeConsumer:
        """Open a member of a topology's group; it joins with its first poll."""
        return FakeConsumer(
            self,
            topology.group,
            topology.source.topics,
            ownership,
            max_poll_records=topology.wave.max_records,
            waits=self._waits,
        )

    def producer(self, topology: Topology, transactional_id: str | None) -> FakeProducer:
        """Open a producer, transactional if it has an id."""
        del topology
        return FakeProducer(self, transactional_id)

    def append(  # noqa: PLR0913 - a record's parts
        self,
        topic: str,
        value: bytes | None,
        *,
        partition: int = 0,
        key: bytes | None = None,
        headers: Headers = (),
        timestamp: int = 0,
        transaction: Transaction | None = None,
    ) -> Record:
        """Write a record, as some other program does.

        Raises:
            BrokerError: there is no such partition.
        """
        with self.changed:
            log = self.log(TopicPartition(topic, partition))
            record = log.append(key, value, headers, timestamp, transaction)
            self.changed.notify_all()
            return record

    def records(self, topic: str, *, committed: bool = True) -> list[Record]:
        """Give a topic's records, partition by partition.

        Args:
            topic: what to read.
            committed: leave out what was aborted, and what lies behind an open transaction.
        """
        with self.changed:
            return [
                record
                for partition in self.partitions([topic])
                for record in self.log(partition).read(
                    self.log(partition).beginning, committed=committed
                )[0]
            ]

    def ends(self, topics: Iterable[str]) -> dict[TopicPartition, int]:
        """Give the offset behind the last record or marker of each partition."""
        with self.changed:
            return {p: self.log(p).end for p in self.partitions(topics)}

    def nudge(self) -> None:
        """Wake polls that wait."""
        with self.changed:
            self.changed.notify_all()

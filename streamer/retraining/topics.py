"""Topics that the sidecar reads on from where it was, and writes to."""

import time
from collections.abc import Mapping, Sequence

from streamer.broker import Admin, Pending, Producer, Reader, partition_for
from streamer.config import Settings
from streamer.errors import BrokerError
from streamer.records import OutRecord, Record, TopicPartition

_POLL_S = 0.2
_KNOWN_WITHIN_S = 10.0


class Topic:
    """A topic of several partitions, read on from given offsets.

    Args:
        settings: where the brokers are.
        topic: created with one partition if it is missing.
        since: milliseconds since the epoch to begin at; its beginning if None.
        positions: by partition, the offset to begin at instead.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        *,
        since: float | None = None,
        positions: dict[int, int] | None = None,
    ) -> None:
        ensure(settings, topic)
        self._reader = Reader(settings.kafka)
        self.partitions = self._found(topic)
        self._reader.assign(self.partitions)
        if since is not None:
            found = self._reader.at_time(self.partitions, since)
            ends = self._reader.ends(self.partitions)
            for partition in self.partitions:
                self._reader.seek(partition, found.get(partition, ends[partition]))
        for partition in self.partitions:
            if positions and partition.partition in positions:
                self._reader.seek(partition, positions[partition.partition])

    def poll(self, timeout: float = _POLL_S) -> list[Record]:
        """Give what has come."""
        return list(self._reader.poll(timeout))

    def gather(self, within: float, most: int) -> list[Record]:
        """Give what has come and, as long as more comes, what follows it shortly."""
        until = time.monotonic() + within
        found: list[Record] = []
        while True:
            came = self.poll()
            found += came
            if not came or len(found) >= most or time.monotonic() > until:
                return found

    def positions(self) -> dict[int, int]:
        """Give the offsets read next."""
        return {one.partition: self._reader.position(one) for one in self.partitions}

    def ends(self) -> dict[int, int]:
        """Give the offsets behind the last records."""
        return {at.partition: end for at, end in self._reader.ends(self.partitions).items()}

    def has_read(self, ends: Mapping[int, int]) -> bool:
        """Whether all before these offsets has been read."""
        return all(at >= ends.get(partition, 0) for partition, at in self.positions().items())

    def close(self) -> None:
        """Close the connections."""
        self._reader.close()

    def _found(self, topic: str) -> list[TopicPartition]:
        deadline = time.monotonic() + _KNOWN_WITHIN_S
        while True:
            try:
                return self._reader.partitions(topic)
            except BrokerError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_S)


def ensure(settings: Settings, topic: str) -> None:
    """Create a topic if it is missing and may be created.

    Raises:
        BrokerError: it is missing and may not be.
    """
    with Admin(settings.kafka) as admin:
        if admin.partitions(topic) is not None:
            return
        if not settings.kafka.create_topics:
            message = f"the topic '{topic}' does not exist (STREAMER_KAFKA__CREATE_TOPICS is off)"
            raise BrokerError(message, retriable=False)
        admin.create(topic, 1)


class Outlet:
    """Writes records and waits for their acknowledgements."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: Producer | None = None
        self._partitions: dict[str, int] = {}

    def send(self, records: Sequence[OutRecord]) -> None:
        """Write records; come back when they are acknowledged.

        Raises:
            BrokerError: one is not.
        """
        if not records:
            return
        if self._producer is None:
            self._producer = Producer(self._settings.kafka)
        pending = []
        for record in records:
            if record.topic not in self._partitions:
                ensure(self._settings, record.topic)
                self._partitions[record.topic] = self._producer.partitions(record.topic)
            count = self._partitions[record.topic]
            place = partition_for(record, count, "key")
            pending.append(self._producer.append(record, place))
        try:
            self._producer.flush()
            for one in pending:
                _check(one)
        except BrokerError:
            self.close()
            raise

    def close(self) -> None:
        """Close the connections."""
        if self._producer is not None:
            self._producer.close(timeout=0)
            self._producer = None


def _check(sent: Pending) -> None:
    if sent.failure is not None:
        message = f"writing to {sent.record.topic}: {sent.failure}"
        raise BrokerError(message, retriable=True)

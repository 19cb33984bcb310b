"""What both guarantees share: where records go, what a topic takes, who is refused."""

from collections.abc import Iterable
from time import monotonic
from typing import Protocol

import structlog

from streamer.broker import Pending, Producer, partition_for
from streamer.config.topology import Topology
from streamer.errors import BrokerError, RecordError
from streamer.records import Item, OutRecord, Record, Rejection

_PARTITIONS_FOR_S = 30.0
_RECORD_OVERHEAD_BYTES = 128


class Letters(Protocol):
    """Writes dead letters; the line's encoder does."""

    def letter(self, record: Record, rejection: Rejection) -> OutRecord:
        """Write the dead letter of a record."""

    def without_value(self, letter: OutRecord) -> OutRecord:
        """Make a dead letter small enough for any topic."""


class Outlet:
    """Sends items' outputs through a producer and tells whose fault a refusal is.

    Args:
        topology: topics and partition rule.
        letters: writes the dead letters of items that the broker refuses.
        limits: bytes that a record may have, by topic, as far as known.
    """

    def __init__(self, topology: Topology, letters: Letters, limits: dict[str, int]) -> None:
        self._rule = topology.sink.partition
        self._letters_topic = topology.deadletter_topic
        self._letters = letters
        self._limits = limits
        self._partitions: dict[str, tuple[int, float]] = {}
        self._log = structlog.get_logger("publish")

    def send(self, producer: Producer, items: Iterable[Item]) -> list[tuple[Item, Pending]]:
        """Append the outputs of items, in order; what is known to be too large is rejected."""
        sent = []
        for item in items:
            output = self._fitting(item)
            if output is not None:
                partition = partition_for(output, self._count(producer, output.topic), self._rule)
                sent.append((item, producer.append(output, partition)))
        return sent

    def partition_of(self, producer: Producer, output: OutRecord) -> tuple[str, int]:
        """Say where an output goes."""
        count = self._count(producer, output.topic)
        return output.topic, partition_for(output, count, self._rule)

    def refuse(self, item: Item, error: RecordError) -> None:
        """Turn an output that the broker refuses into a dead letter, or a dead letter smaller.

        Raises:
            BrokerError: even the dead letter without its value is refused.
        """
        output = item.output
        if output is not None and output.topic == self._letters_topic:
            if any(name == "streamer.error.truncated" for name, _ in output.headers):
                message = f"a dead letter is refused even without its value: {error}"
                raise BrokerError(message, retriable=False) from error
            item.output = self._letters.without_value(output)
            return
        item.rejection = Rejection("produce", None, error.reason, type(error).__name__, str(error))
        item.output = self._letters.letter(item.record, item.rejection)

    def _fitting(self, item: Item) -> OutRecord | None:
        while item.output is not None:
            limit = self._limits.get(item.output.topic)
            size = size_bytes(item.output)
            if limit is None or size <= limit:
                return item.output
            message = f"{size} bytes, and {item.output.topic} takes {limit} (max.message.bytes)"
            self.refuse(item, RecordError(message, reason="too-large"))
        return None

    def _count(self, producer: Producer, topic: str) -> int:
        known, at = self._partitions.get(topic, (0, 0.0))
        if known and monotonic() - at < _PARTITIONS_FOR_S:
            return known
        count = producer.partitions(topic)
        if known and count != known:
            self._log.warning(
                "the number of partitions changed: keys go to other partitions from here on",
                topic=topic,
                before=known,
                now=count,
            )
        self._partitions[topic] = (count, monotonic())
        return count


def size_bytes(output: OutRecord) -> int:
    """Give an upper bound of what a record takes in a batch of its own."""
    return (
        _RECORD_OVERHEAD_BYTES
        + len(output.key or b"")
        + len(output.value or b"")
        + sum(len(name.encode()) + len(value or b"") + 10 for name, value in output.headers)
    )

"""What both guarantees share: where records go, what a topic takes, who is refused."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from time import monotonic
from typing import Protocol

import structlog

from streamer.broker import Sent, Writer, partition_for
from streamer.config.topology import Topology
from streamer.errors import BrokerError, RecordError
from streamer.publish.suspects import Suspects
from streamer.records import Item, OutRecord, Record, Rejection

_PARTITIONS_FOR_S = 30.0
_RECORD_OVERHEAD_BYTES = 128


class Letters(Protocol):
    """Writes dead letters; the line's encoder does."""

    def letter(self, record: Record, rejection: Rejection) -> OutRecord:
        """Write the dead letter of a record."""

    def smaller(self, letter: OutRecord, *, too_large: bool) -> OutRecord | None:
        """Omit more of a dead letter that was refused; None if nothing is left to omit."""


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
        self._suspects = Suspects()
        self._log = structlog.get_logger("publish")

    def begin(self) -> None:
        """Suspect nobody of the items that come now."""
        self._suspects.clear()

    def deliver(
        self, producer: Writer, items: Sequence[Item]
    ) -> tuple[list[tuple[Item, Sent]], BrokerError | None]:
        """Send the outputs of items in order, and wait for what becomes of them.

        Ends behind the first group that fails: a producer is of no use after a failure. Items at
        fault have a dead letter, or a smaller one, as their output when this returns.

        Returns:
            What was sent, and why not all of it is written; None if it is.

        Raises:
            BrokerError: an output topic is missing, or takes not even a bare dead letter.
        """
        sent: list[tuple[Item, Sent]] = []
        for group in self._suspects.apart(items):
            begun = len(sent)
            self._append(producer, group, sent)
            with suppress(BrokerError):  # each record is asked for its outcome
                producer.flush()
            failures = [
                (item, failure)
                for item, pending in islice(sent, begun, None)
                if (failure := pending.failure) is not None
            ]
            if failures:
                self._blame([(i, f) for i, f in failures if isinstance(f, RecordError)])
                return sent, _worst([failure for _, failure in failures])
        return sent, None

    def _append(
        self, producer: Writer, items: Sequence[Item], sent: list[tuple[Item, Sent]]
    ) -> None:
        """Append the outputs of items; what is known to be too large is rejected."""
        counts: dict[str, int] = {}  # of the topics' partitions: asked for once, not by record
        for item in items:
            output = self._fitting(item)
            if output is None:
                continue
            count = counts.get(output.topic) or self._count(producer, output.topic)
            counts[output.topic] = count
            partition = partition_for(output, count, self._rule)
            sent.append((item, producer.append(output, partition)))

    def _blame(self, refused: Sequence[tuple[Item, RecordError]]) -> None:
        """Refuse who is at fault; an error that several share tells of their batch only."""
        shared = Counter(id(failure.__cause__ or failure) for _, failure in refused)
        suspects = []
        for item, failure in refused:
            if shared[id(failure.__cause__ or failure)] > 1:
                suspects.append(item)
            else:
                self.refuse(item, failure)
        self._suspects.split(suspects)

    def partition_of(self, producer: Writer, output: OutRecord) -> tuple[str, int]:
        """Say where an output goes."""
        count = self._count(producer, output.topic)
        return output.topic, partition_for(output, count, self._rule)

    def refuse(self, item: Item, error: RecordError) -> None:
        """Turn an output that the broker refuses into a dead letter, or a dead letter smaller.

        Raises:
            BrokerError: even a dead letter that has nothing of its record is refused.
        """
        output = item.output
        if output is None or output.topic != self._letters_topic:
            item.rejection = Rejection(
                "produce", None, error.reason, type(error).__name__, str(error)
            )
            item.output = self._letters.letter(item.record, item.rejection)
            return
        item.output = self._letters.smaller(output, too_large=error.reason == "too-large")
        if item.output is None:
            message = f"{self._letters_topic} takes not even a bare dead letter: {error}"
            raise BrokerError(message, retriable=False) from error

    def _fitting(self, item: Item) -> OutRecord | None:
        while item.output is not None:
            limit = self._limits.get(item.output.topic)
            size = size_bytes(item.output)
            if limit is None or size <= limit:
                return item.output
            message = f"{size} bytes, and {item.output.topic} takes {limit} (max.message.bytes)"
            self.refuse(item, RecordError(message, reason="too-large"))
        return None

    def _count(self, producer: Writer, topic: str) -> int:
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


class RefusedError(BrokerError):
    """Records were refused for their own sake; what is left can be sent at once."""


def _worst(failures: Sequence[BrokerError | RecordError]) -> BrokerError:
    """Choose what to act on: what no further try gets over, then refusals, which explain the rest.

    Args:
        failures: of records; one at least.
    """
    refused = [failure for failure in failures if isinstance(failure, RecordError)]
    broken = [failure for failure in failures if isinstance(failure, BrokerError)]
    for failure in broken:
        if not failure.retriable:
            return failure
    if refused:
        message = f"{len(refused)} records were refused, as: {refused[0]}"
        return RefusedError(message, retriable=True)
    return broken[0]


def size_bytes(output: OutRecord) -> int:
    """Give an upper bound of what a record takes in a batch of its own."""
    size = _RECORD_OVERHEAD_BYTES + len(output.key or b"") + len(output.value or b"")
    for name, value in output.headers:
        size += len(name.encode()) + len(value or b"") + 10
    return size

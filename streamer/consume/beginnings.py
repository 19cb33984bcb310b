"""Where a partition is read from when Kafka does not say: never committed, or out of range."""

from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Literal

import structlog

from streamer.broker import Member
from streamer.errors import BrokerError
from streamer.records import TopicPartition

_LONGEST_S = 5.0
"""Between two polls, for positions that Kafka takes long to tell: a member that does not poll is
given up."""


class Beginnings:
    """Decides offsets that the client, set to reset nothing by itself, leaves open.

    Args:
        consumer: asked for offsets.
        reset: where a partition begins that was never committed.
        out_of_range: what to do when retention has passed a position.
        clock: monotonic seconds; passed in by tests.
    """

    def __init__(
        self,
        consumer: Member,
        reset: Literal["earliest", "latest"],
        out_of_range: Literal["stop", "earliest", "latest"],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._consumer = consumer
        self._reset = reset
        self._out_of_range = out_of_range
        self._clock = clock
        self._ask_at: dict[TopicPartition, float] = {}
        self._at_first: dict[str, frozenset[TopicPartition]] = {}
        self._log = structlog.get_logger("consume")

    def ask(self, topics: Iterable[str]) -> None:
        """Find out whether the group begins with us, before we join: `latest` depends on it.

        Later on, members that begin together see each other's first commits.

        Raises:
            BrokerError: Kafka refuses.
        """
        for topic in topics:
            if self._consumer.partitions_of(topic):  # else it is made later
                self._there_at_first(topic)

    def of(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, tuple[int, str]]:
        """Give where partitions are read from, with the note that was committed beside it.

        Positions that were never committed are committed at once, and together: a crash before the
        first answer must not make `latest` skip what came in between, nor one between two commits
        let the group look as if it had begun before. Left out is what Kafka does not tell now.

        Raises:
            BrokerError: Kafka refuses.
        """
        found: dict[TopicPartition, tuple[int, str]] = {}
        firsts: dict[TopicPartition, int] = {}
        began = self._clock()
        for partition in sorted(partitions, key=lambda p: (self._ask_at.get(p, began), p)):
            now = self._clock()
            if self._ask_at.get(partition, began) > now or now - began > _LONGEST_S:
                break  # the time of those behind it has not come either
            try:
                position, note = self._consumer.committed(partition) or (None, "")
                if position is None:
                    position = firsts[partition] = self.first(partition)
            except BrokerError as error:
                self._tell(error)
                failed = self._clock()
                self._ask_at[partition] = failed + (failed - now)  # the others have half the time
            else:
                self._ask_at.pop(partition, None)
                found[partition] = position, note
        return found if self._committed(firsts) else {p: found[p] for p in found.keys() - firsts}

    def _committed(self, firsts: Mapping[TopicPartition, int]) -> bool:
        """Commit first positions of what is still ours; tell whether that could be done."""
        ours = self._consumer.assignment()
        firsts = {partition: at for partition, at in firsts.items() if partition in ours}
        if not firsts:
            return True
        try:
            self._consumer.commit(firsts)
        except BrokerError as error:
            self._tell(error)
            return False
        for partition, position in firsts.items():
            self._log.info("begins", **partition._asdict(), offset=position)
        return True

    def _tell(self, error: BrokerError) -> None:
        if not error.retriable:
            raise error
        self._log.warning("cannot settle a position yet", error=str(error))

    def first(self, partition: TopicPartition) -> int:
        """Find the first position: `latest` holds for what was there when the group began.

        A partition added later is read from its beginning: what was written to it before it was
        noticed is no less new than what came after.
        """
        if self._reset == "latest" and partition in self._there_at_first(partition.topic):
            return self._consumer.end([partition])[partition]
        return self._consumer.beginning([partition])[partition]

    def _there_at_first(self, topic: str) -> frozenset[TopicPartition]:
        """Name the partitions that were there when the group began, if it begins with us."""
        if topic not in self._at_first:
            there = self._consumer.partitions_of(topic)
            begun = any(self._consumer.committed(partition) is not None for partition in there)
            self._at_first[topic] = frozenset(() if begun else there)
        return self._at_first[topic]

    def in_range(self, partition: TopicPartition, position: int) -> int:
        """Find where to go on from a position that is not in the log any more, or not yet.

        Raises:
            BrokerError: it is set to stop; or, retriable, the log's range is not known now.
        """
        begin = self._consumer.beginning([partition])[partition]
        end = self._consumer.end([partition])[partition]
        lost = max(begin - position, 0)
        if self._out_of_range == "stop":
            message = (
                f"{partition}: offset {position} is no longer there (the log holds {begin} to "
                f"{end}; {lost} records are lost). Set source.on_offset_out_of_range to earliest "
                "or latest to go on"
            )
            raise BrokerError(message, retriable=False)
        target = begin if self._out_of_range == "earliest" else end
        self._log.error(
            "records were lost to retention",
            **partition._asdict(),
            offset=position,
            begins=begin,
            goes_on_at=target,
            lost=lost,
        )
        return target

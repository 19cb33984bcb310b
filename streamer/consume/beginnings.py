"""Where a partition is read from when Kafka does not say: never committed, or out of range."""

from typing import Literal

import structlog

from streamer.broker import Member
from streamer.errors import BrokerError
from streamer.records import TopicPartition


class Beginnings:
    """Decides offsets that the client, set to reset nothing by itself, leaves open.

    Args:
        consumer: asked for offsets.
        reset: where a partition begins that was never committed.
        out_of_range: what to do when retention has passed a position.
    """

    def __init__(
        self,
        consumer: Member,
        reset: Literal["earliest", "latest"],
        out_of_range: Literal["stop", "earliest", "latest"],
    ) -> None:
        self._consumer = consumer
        self._reset = reset
        self._out_of_range = out_of_range
        self._at_first: dict[str, frozenset[TopicPartition]] = {}
        self._log = structlog.get_logger("consume")

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

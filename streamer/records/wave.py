"""A wave: the unit in which records travel the line, are published and are committed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamer.records.item import Item
from streamer.records.record import TopicPartition


@dataclass(frozen=True, slots=True)
class Slice:
    """What a wave holds of one partition.

    Attributes:
        epoch: the assignment of the partition under which it was read; a slice of another
            epoch than the current one must not be published.
        position: the offset to commit once the slice is answered (the next one to read).
        items: the partition's records, contiguous, in offset order; empty where only the
            position moved (aborted transactions, compaction).
    """

    epoch: int
    position: int
    items: tuple[Item, ...]


@dataclass(slots=True)
class Wave:
    """Contiguous slices of the assigned partitions.

    Attributes:
        cost_bytes: what the wave holds of the line's memory budget until it is committed.
        born: monotonic clock, seconds, when its first record was polled.
        versions: by model, what was in service when the wave entered the line: it runs with that
            through all its steps.
    """

    number: int
    slices: Mapping[TopicPartition, Slice]
    cost_bytes: int
    born: float
    versions: dict[object, object] = field(default_factory=dict)

    @property
    def items(self) -> list[Item]:
        """All items, partition by partition."""
        return [item for part in self.slices.values() for item in part.items]

    @property
    def positions(self) -> dict[TopicPartition, int]:
        """What to commit once every item is answered."""
        return {partition: part.position for partition, part in self.slices.items()}

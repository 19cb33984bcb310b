"""Which partitions are ours, and since when: the gate of publishing.

Kafka fences a transaction's positions by member and generation, never by partition, and not at
all for a member that was evicted. So every partition has an epoch of its own here, raised whenever
it is assigned, revoked, lost or rewound; what was read under another epoch is never published.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Condition

from streamer.records import Membership, Permit, TopicPartition, Wave


class Assignment:
    """Epochs of partitions; told by the client's I/O thread, asked by consume and publish.

    Args:
        unsettled: gives, for partitions with their epochs, the answered positions that are not
            committed, each with its note; none where publish commits them itself.
    """

    def __init__(
        self,
        unsettled: Callable[
            [Mapping[TopicPartition, int]], Mapping[TopicPartition, tuple[int, str]]
        ] = lambda _epochs: {},
    ) -> None:
        self._unsettled = unsettled
        self._changed = Condition()
        self._epochs: dict[TopicPartition, int] = {}
        self._last: dict[TopicPartition, int] = {}
        self._fresh: set[TopicPartition] = set()
        self._closing: set[TopicPartition] = set()
        self._publishing: set[TopicPartition] = set()
        self._membership: Membership | None = None
        self.rebalances = 0

    def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """Take partitions over; they are read once their positions are settled."""
        with self._changed:
            self.rebalances += 1
            for partition in partitions:
                self._raise_epoch(partition)
                self._fresh.add(partition)
                self._closing.discard(partition)

    def closing(self, partitions: Iterable[TopicPartition]) -> bool:
        """Let nothing new of these partitions be published; True while something of them is."""
        with self._changed:
            self._closing |= set(partitions)
            return bool(self._publishing & set(partitions))

    def leaving(
        self, partitions: Iterable[TopicPartition]
    ) -> Mapping[TopicPartition, tuple[int, str]]:
        """Give the positions, with their notes, to commit before partitions are given up."""
        with self._changed:
            epochs = {p: self._epochs[p] for p in partitions if p in self._epochs}
        return self._unsettled(epochs)

    def taken(self, partitions: Iterable[TopicPartition]) -> None:
        """Give partitions up, whatever is still in the line of them."""
        with self._changed:
            for partition in partitions:
                self._epochs.pop(partition, None)
                self._fresh.discard(partition)
                self._closing.discard(partition)

    def joined(self, membership: Membership) -> None:
        """Publish under this membership from now on; partitions were told before it."""
        with self._changed:
            self._membership = membership

    def rewound(self, partition: TopicPartition) -> None:
        """Make what was read of a partition so far worthless: it will be read again."""
        with self._changed:
            if partition in self._epochs:
                self._raise_epoch(partition)

    def _raise_epoch(self, partition: TopicPartition) -> None:
        self._last[partition] = self._last.get(partition, 0) + 1
        self._epochs[partition] = self._last[partition]

    def take_fresh(self) -> set[TopicPartition]:
        """Give the partitions assigned since the last call; their positions are to be settled."""
        with self._changed:
            fresh, self._fresh = self._fresh, set()
            return fresh

    def epochs(self) -> dict[TopicPartition, int]:
        """Give the current epochs."""
        with self._changed:
            return dict(self._epochs)

    @contextmanager
    def publishing(self, waves: Iterable[Wave]) -> Iterator[Permit]:
        """Hold the gate open for the partitions of some waves.

        Yields:
            What may be published now. A revocation of one of the partitions waits until the block
            ends, for its time limit at the most; the membership stays what it was at the begin, so
            that the broker refuses what is published past that limit.
        """
        wanted = {partition for wave in waves for partition in wave.slices}
        with self._changed:
            current = {
                partition: epoch
                for partition, epoch in self._epochs.items()
                if partition in wanted and partition not in self._closing
            }
            self._publishing |= set(current)
            permit = Permit(current, self._membership)
        try:
            yield permit
        finally:
            with self._changed:
                self._publishing -= set(current)
                self._changed.notify_all()

"""Positions that flow back: acknowledged by publish, committed by the consume thread."""

from collections.abc import Callable, Mapping
from threading import Lock
from time import monotonic

from streamer.records import TopicPartition


class Commits:
    """Answered positions that wait for their commit.

    Waves are published in order, so the last position of a partition covers all before it.
    """

    def __init__(self, interval: float, clock: Callable[[], float] = monotonic) -> None:
        self._interval = interval
        self._clock = clock
        self._lock = Lock()
        self._waiting: dict[TopicPartition, tuple[int, int]] = {}
        self._under_way: dict[TopicPartition, tuple[int, int]] = {}
        self._since: float | None = None
        self.committed = 0

    def answered(self, positions: Mapping[TopicPartition, tuple[int, int]]) -> None:
        """Note (epoch, position) of partitions whose records before it are all answered."""
        with self._lock:
            if positions and self._since is None:
                self._since = self._clock()
            for partition, (epoch, position) in positions.items():
                known = self._waiting.get(partition)
                if known is None or (epoch, position) > known:
                    self._waiting[partition] = (epoch, position)

    def due(
        self, current: Mapping[TopicPartition, int], *, idle: bool
    ) -> dict[TopicPartition, tuple[int, int]]:
        """Take what is to be committed now: when idle at once, else once an interval.

        Positions of partitions that are no longer ours, or of another epoch, are forgotten.
        """
        with self._lock:
            if self._since is None:
                return {}
            if not idle and self._clock() - self._since < self._interval:
                return {}
            found = {
                partition: entry
                for partition, entry in self._waiting.items()
                if current.get(partition) == entry[0]
            }
            self._waiting.clear()
            self._since = None
            self._under_way = found
            return dict(found)

    def ended(self, *, committed: bool) -> None:
        """What was due is committed, or waits again."""
        with self._lock:
            due, self._under_way = self._under_way, {}
        if committed:
            self.committed += 1
        else:
            self.answered(due)

    def under_way(self) -> bool:
        """Whether the outcome of a commit is not known yet."""
        with self._lock:
            return bool(self._under_way)

    def unsettled(self, epochs: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Give the answered positions of these partitions that are not known to be committed."""
        with self._lock:
            entries = {**self._under_way, **self._waiting}  # what waits is the later one
        return {
            partition: entry[1]
            for partition, entry in entries.items()
            if epochs.get(partition) == entry[0]
        }

    def waiting(self) -> bool:
        """Whether answered positions are not committed yet."""
        with self._lock:
            return bool(self._waiting or self._under_way)

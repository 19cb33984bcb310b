"""Polled records, gathered until the line takes them as a wave."""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, count, islice
from time import monotonic

from streamer.config.topology import WaveLimits
from streamer.records import Item, Record, Slice, TopicPartition, Wave


@dataclass(slots=True)
class _Partition:
    """What has been polled of one partition and not yet cut into a wave."""

    epoch: int
    records: deque[tuple[Record, int]] = field(default_factory=deque)
    position: int = -1
    sent: int = -1


class Gatherer:
    """Holds records by partition and cuts contiguous slices of them.

    Args:
        limits: records and bytes of a wave at the most.
        costs: bytes that each record takes in the line, encoded and decoded.
        pace: records that a wave may hold just now.
        clock: monotonic seconds; passed in by tests.
    """

    def __init__(
        self,
        limits: WaveLimits,
        costs: Callable[[Sequence[Record]], Sequence[int]],
        pace: Callable[[], int] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._limits = limits
        self._costs = costs
        self._pace = pace or (lambda: limits.max_records)
        self._clock = clock
        self._partitions: dict[TopicPartition, _Partition] = {}
        self._numbers = count()
        self._turn = 0
        self.records = 0
        self.cost_bytes = 0
        self.since: float | None = None

    @property
    def full(self) -> bool:
        """Whether a whole wave is there, so that polling more only takes memory."""
        return self.records >= self._most_records or self.cost_bytes >= self._limits.max_bytes

    @property
    def _most_records(self) -> int:
        return min(self._pace(), self._limits.max_records)

    def add(self, partition: TopicPartition, epoch: int, records: Sequence[Record]) -> None:
        """Add records polled under an epoch, in offset order."""
        held = self._of(partition, epoch)
        if not records:
            return
        costs = self._costs(records)
        held.records.extend(zip(records, costs, strict=True))
        held.position = records[-1].offset + 1
        self.records += len(records)
        self.cost_bytes += sum(costs)
        if self.since is None:
            self.since = self._clock()

    def moved(self, partition: TopicPartition, epoch: int, position: int) -> None:
        """Note the offset read next, which may lie behind the last record's successor."""
        held = self._of(partition, epoch)
        held.position = max(held.position, position)
        if held.sent < 0:
            held.sent = position if not held.records else held.records[0][0].offset

    def keep_only(self, epochs: Mapping[TopicPartition, int]) -> None:
        """Forget what was polled of partitions that are no longer ours, or were rewound."""
        for partition in list(self._partitions):
            if self._partitions[partition].epoch != epochs.get(partition):
                self._forget(partition)

    def __bool__(self) -> bool:
        return any(
            held.records or held.position > held.sent >= 0 for held in self._partitions.values()
        )

    def next_cost_bytes(self) -> int:
        """Bytes that the next record takes, 0 if there is none."""
        held = (self._partitions[partition] for partition in self._order())
        return next((one.records[0][1] for one in held), 0)

    def next_partition(self) -> TopicPartition:
        """Give the partition whose turn it is, of those that hold records."""
        return self._order()[0]

    def partitions_with_records(self) -> list[TopicPartition]:
        """Give the partitions of which records are held."""
        return [partition for partition, held in self._partitions.items() if held.records]

    def first_offset(self, partition: TopicPartition) -> int:
        """Give the offset of the first record held of a partition that holds some."""
        return self._partitions[partition].records[0][0].offset

    def cut(
        self, budget_bytes: int, *, only: TopicPartition | None = None, most: int | None = None
    ) -> Wave:
        """Cut a wave: every partition has its turn, no limit is passed but by a single record.

        Args:
            budget_bytes: bytes left in the line; one record is cut whatever its size.
            only: a partition to which the wave is limited.
            most: records at the most; the wave's own limit if left out.
        """
        order = self._order() if only is None else [only]
        most = min(most or self._most_records, self._most_records)
        bytes_left = min(self._limits.max_bytes, budget_bytes)
        chosen = self._chosen(order, bytes_left, most)
        self._turn += 1
        slices, cost = {}, 0
        for partition in self._partitions if only is None else order:
            held = self._partitions[partition]
            taken = [held.records.popleft() for _ in range(chosen.get(partition, 0))]
            position = taken[-1][0].offset + 1 if taken else held.sent
            if not held.records:
                position = held.position
            if not taken and position <= held.sent:
                continue
            held.sent = position
            cost += sum(size for _, size in taken)
            slices[partition] = Slice(
                held.epoch, position, tuple(Item(record) for record, _ in taken)
            )
        born = self.since if self.since is not None else self._clock()
        self.records -= sum(len(part.items) for part in slices.values())
        self.cost_bytes -= cost
        self.since = self._clock() if self.records else None
        return Wave(next(self._numbers), slices, cost, born)

    def _order(self) -> list[TopicPartition]:
        """Give the partitions that hold records, each wave beginning with another one."""
        partitions = self.partitions_with_records()
        begin = self._turn % len(partitions) if partitions else 0
        return partitions[begin:] + partitions[:begin]

    def _chosen(
        self, order: list[TopicPartition], bytes_left: int, most: int
    ) -> dict[TopicPartition, int]:
        """Say how many records each partition gives: an equal share first, then what is left."""
        chosen = dict.fromkeys(order, 0)
        records_left = most
        costs = {
            partition: [cost for _, cost in islice(self._partitions[partition].records, most)]
            for partition in order
        }
        share = max(records_left // max(len(order), 1), 1)
        for bound in (share, records_left):
            for partition in order:
                begin = chosen[partition]
                found = costs[partition][begin : min(bound, begin + records_left)]
                sums = list(accumulate(found))
                fitting = bisect_right(sums, bytes_left)
                if sums and records_left == most:
                    fitting = max(fitting, 1)
                if fitting:
                    chosen[partition] += fitting
                    records_left -= fitting
                    bytes_left -= sums[fitting - 1]
        return chosen

    def _of(self, partition: TopicPartition, epoch: int) -> _Partition:
        held = self._partitions.get(partition)
        if held is not None and held.epoch != epoch:
            self._forget(partition)
            held = None
        if held is None:
            held = self._partitions[partition] = _Partition(epoch)
        return held

    def _forget(self, partition: TopicPartition) -> None:
        held = self._partitions.pop(partition)
        self.records -= len(held.records)
        self.cost_bytes -= sum(cost for _, cost in held.records)
        if not self.records:
            self.since = None

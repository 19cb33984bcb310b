"""A partition as Kafka keeps it: records, and the markers that end transactions."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from streamer.records import Headers, Record, TopicPartition


class Outcome(Enum):
    """What became of a transaction."""

    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclass(eq=False, slots=True)
class Transaction:
    """A producer's transaction, shared by all that was written in it."""

    outcome: Outcome = Outcome.OPEN


@dataclass(frozen=True, slots=True)
class _Entry:
    """What stands at an offset; a marker has no record."""

    record: Record | None
    transaction: Transaction | None

    def stands(self, *, committed: bool) -> bool:
        if self.record is None:
            return False
        ended_well = self.transaction is None or self.transaction.outcome is Outcome.COMMITTED
        return ended_well or not committed


class Log:
    """One partition; an offset for every record and for every marker."""

    def __init__(self, partition: TopicPartition) -> None:
        self._partition = partition
        self._entries: list[_Entry] = []
        self.beginning = 0

    @property
    def end(self) -> int:
        """The offset behind the last record or marker."""
        return len(self._entries)

    @property
    def stable_end(self) -> int:
        """The offset that `read_committed` readers don't pass: where an open transaction begins."""
        for offset in range(self.beginning, self.end):
            transaction = self._entries[offset].transaction
            if transaction is not None and transaction.outcome is Outcome.OPEN:
                return offset
        return self.end

    def append(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        timestamp: int,
        transaction: Transaction | None = None,
    ) -> Record:
        """Write a record."""
        topic, partition = self._partition
        record = Record(topic, partition, self.end, timestamp, key, value, headers)
        self._entries.append(_Entry(record, transaction))
        return record

    def mark(self, transaction: Transaction) -> None:
        """Write the marker that ends a transaction here; its outcome is set beside."""
        self._entries.append(_Entry(None, transaction))

    def read(
        self, position: int, most: int | None = None, *, committed: bool = True
    ) -> tuple[list[Record], int]:
        """Read from a position on.

        Returns:
            Records, and the position behind them: behind markers and aborted records too, unless
            `most` records came before.
        """
        found: list[Record] = []
        last = self.stable_end if committed else self.end
        for offset in range(position, last):
            entry = self._entries[offset]
            if entry.record is not None and entry.stands(committed=committed):
                if len(found) == most:
                    return found, found[-1].offset + 1 if found else position
                found.append(entry.record)
        return found, max(last, position)

    def committed(self) -> Iterator[Record]:
        """Yield what stands for good, also behind the beginning of an open transaction."""
        for entry in self._entries:
            if entry.record is not None and entry.stands(committed=True):
                yield entry.record

    def trim(self, beginning: int) -> None:
        """Forget what lies before an offset, as retention does."""
        self.beginning = max(self.beginning, min(beginning, self.end))

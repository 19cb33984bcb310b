"""What consuming and publishing use of a Kafka client, whichever it is."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from streamer.broker.offsets import Note, no_note
from streamer.errors import BrokerError, RecordError, StreamerError
from streamer.records import OutRecord, Record, TopicPartition


class MissingPositionsError(StreamerError):
    """The group has no committed position for some partitions it was given."""


class OutOfRangeError(StreamerError):
    """The positions of some partitions are no longer, or not yet, in the log."""

    def __init__(self, positions: Mapping[TopicPartition, int]) -> None:
        super().__init__(f"out of range: {dict(positions)}")
        self.positions = dict(positions)


class Member(Protocol):
    """A member of a consumer group, for one thread; resets and commits nothing by itself."""

    @property
    def member_id(self) -> str:
        """The name that the group knows this member by; empty while it is none."""

    @property
    def joined(self) -> bool:
        """Whether the member is in the group (its assignment may be empty)."""

    def members(self) -> set[str]:
        """Ask who the group's members are now."""

    def group_metadata(self) -> Any:
        """Give the membership as it is this moment."""

    def assignment(self) -> set[TopicPartition]:
        """Give the partitions that are ours."""

    def partitions_of(self, topic: str) -> list[TopicPartition]:
        """Give all partitions of a topic."""

    def poll(self, timeout: float) -> dict[TopicPartition, list[Record]]:
        """Read what is there, waiting at most `timeout` seconds for something.

        Raises:
            MissingPositionsError: partitions were assigned that have no committed position.
            OutOfRangeError: retention has passed a position.
            BrokerError: Kafka refuses.
        """

    def position(self, partition: TopicPartition) -> int | None:
        """Give the offset read next; None while it is not known or the partition is gone."""

    def seek(self, partition: TopicPartition, offset: int) -> bool:
        """Read on from an offset; False if the partition is no longer ours."""

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop reading partitions while polls go on."""

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Read partitions again."""

    def beginning(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Give the first offsets that are still there."""

    def end(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Give the offsets behind the last record."""

    def highwater(self, partition: TopicPartition) -> int | None:
        """Give the end of the partition as the last fetch saw it."""

    def committed(self, partition: TopicPartition) -> tuple[int, str] | None:
        """Give the group's committed position and the note beside it, once both are settled."""

    def commit(self, positions: Mapping[TopicPartition, int], note: Note = no_note) -> None:
        """Commit, each position with its note, and wait."""

    def commit_soon(
        self,
        positions: Mapping[TopicPartition, int],
        note: Note,
        done: Callable[[Exception | None], None],
    ) -> None:
        """Commit without waiting; `done` is called by a later poll or commit."""

    def close(self) -> None:
        """Leave the group (a static member stays in it)."""


class Sent(Protocol):
    """A record on its way; known to be written or refused once the writer is flushed."""

    record: OutRecord
    partition: int

    @property
    def failure(self) -> BrokerError | RecordError | None:
        """Why it is not written: for its own sake, or for the broker's; None if it is.

        A `RecordError` has the client's error as its cause: one object for a whole batch if the
        broker does not say which record of the batch is at fault.
        """


class Writer(Protocol):
    """Idempotent, acknowledged by all in-sync replicas; of no use after a failure."""

    def partitions(self, topic: str) -> int:
        """Count a topic's partitions."""

    def append(self, record: OutRecord, partition: int) -> Sent:
        """Put a record on its way; nothing is certain before `flush`, not even a refusal."""

    def flush(self) -> None:
        """Wait until every record appended before is written or refused."""

    def begin(self) -> None:
        """Open a transaction."""

    def commit(
        self, positions: Mapping[TopicPartition, int], group: Any, note: Note = no_note
    ) -> None:
        """End the transaction with the positions in it; nothing of it is seen before."""

    def close(self, timeout: float = 5.0) -> None:
        """Close; what is not acknowledged by then is given up, at once with a timeout of 0."""

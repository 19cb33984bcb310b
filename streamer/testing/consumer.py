"""A group's member on the Kafka in memory."""

from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Any

from streamer.broker import GroupConsumer, MissingPositionsError, Note, OutOfRangeError, no_note
from streamer.broker.joins import Ownership
from streamer.errors import BrokerError
from streamer.records import Record, TopicPartition
from streamer.testing.cluster import Cluster
from streamer.testing.group import NOBODY, Membership

_Done = Callable[[Exception | None], None]


class FakeConsumer(GroupConsumer):
    """Joins its group, learns of rebalances and hands partitions over within `poll` only.

    Args:
        cluster: its brokers.
        group: whose member it is.
        topics: what it reads.
        ownership: told which partitions come and go.
        max_poll_records: records of a poll at the most.
        revoke_timeout: seconds for which partitions are held back that are being published.
        waits: whether an empty poll waits for something to happen.
    """

    def __init__(  # noqa: PLR0913 - the parts of one member
        self,
        cluster: Cluster,
        group: str,
        topics: Iterable[str],
        ownership: Ownership,
        *,
        max_poll_records: int = 500,
        revoke_timeout: float = 5.0,
        waits: bool = True,
    ) -> None:
        self._cluster = cluster
        self._coordinator = cluster.group(group)
        self._topics = tuple(topics)
        self._ownership = ownership
        self._most = max_poll_records
        self._revoke_timeout = revoke_timeout
        self._waits = waits
        self._member = ""
        self._generation = NOBODY
        self._told_membership: Membership | None = None
        self._positions: dict[TopicPartition, int | None] = {}
        self._paused: set[TopicPartition] = set()
        self._revoking_since: float | None = None
        self._told: list[tuple[_Done, Exception | None]] = []

    # membership

    def _rejoin(self) -> None:
        """Learn of rebalances: give back, take over; a member that was given up joins again."""
        group = self._coordinator
        if not group.knows(self._member) or self._generation == NOBODY:
            self._drop(set(self._positions))
            self._member = group.join(self._topics, self._cluster.partitions(self._topics))
        leaving = group.leaving(self._member)
        if leaving:
            self._generation = group.generation  # it moves before what is revoked is given back
            if self._held_back(leaving):
                return
            last = self._ownership.leaving(leaving)
            group.commit(dict(last))
            self._drop(leaving)
            group.give_back(self._member, leaving)
            self._cluster.changed.notify_all()
        if self._generation != group.generation:
            self._generation = group.generation
        gained = group.take(self._member)
        if gained:
            self._positions.update(dict.fromkeys(gained))
            self._ownership.assigned(sorted(gained))
        membership = self.group_metadata()
        if membership != self._told_membership:
            self._told_membership = membership
            self._ownership.joined(membership)

    def _held_back(self, leaving: set[TopicPartition]) -> bool:
        """Whether partitions that leave are still being published, and there is time for it."""
        if not self._ownership.closing(leaving) or not self._waits:
            self._revoking_since = None
            return False
        if self._revoking_since is None:
            self._revoking_since = monotonic()
        if monotonic() - self._revoking_since < self._revoke_timeout:
            return True
        self._revoking_since = None
        return False

    def _drop(self, partitions: set[TopicPartition]) -> None:
        if partitions:
            self._ownership.taken(sorted(partitions))
        for partition in partitions:
            del self._positions[partition]
        self._paused -= partitions

    def evict(self, *, told: bool = True) -> None:
        """Let the group give this member up.

        Args:
            told: whether the client has noticed (it polled too rarely, and has left by itself): its
                generation is -1 then, and nothing fences it. Otherwise it was frozen, and goes
                on under the generation it knew.
        """
        with self._cluster.changed:
            self._coordinator.leave(self._member, self._cluster.partitions(self._topics))
            if told:
                self._member, self._generation = "", NOBODY
            self._cluster.changed.notify_all()

    def group_metadata(self) -> Any:
        """Give the membership as it is this moment."""
        with self._cluster.changed:
            return Membership(self._coordinator.name, self._generation, self._member)

    @property
    def member_id(self) -> str:
        """The name that the group knows this member by; empty while it is none."""
        return self._member

    def members(self) -> set[str]:
        """Give who the group's members are now."""
        with self._cluster.changed:
            return self._coordinator.members

    @property
    def joined(self) -> bool:
        """Whether the member is in the group."""
        return self._generation != NOBODY

    def assignment(self) -> set[TopicPartition]:
        """Give the partitions that are ours, as far as we know."""
        return set(self._positions)

    def close(self) -> None:
        """Leave the group."""
        self.evict()
        self._positions.clear()

    # reading

    def poll(self, timeout: float) -> dict[TopicPartition, list[Record]]:
        """Read what is there, waiting at most `timeout` seconds for something to happen.

        Raises:
            MissingPositionsError: partitions were assigned that have no committed position.
            OutOfRangeError: retention has passed a position.
            BrokerError: the poll is to fail.
        """
        self._cluster.called("poll")
        with self._cluster.changed:
            self._tell()
            self._rejoin()
            self._reset()
            found = self._fetched()
            if not found and self._waits and self._cluster.changed.wait(timeout):
                found = self._fetched()
        return found

    def _tell(self) -> None:
        told, self._told = self._told, []
        for done, error in told:
            done(error)

    def _reset(self) -> None:
        """Go to the committed positions where none is known yet, and check them all."""
        missing, wrong = [], {}
        for partition in self._positions:
            position = self._settled(partition)
            log = self._cluster.log(partition)
            if position is None:
                if not self._coordinator.unsettled(partition):
                    missing.append(partition)
            elif not log.beginning <= position <= log.end:
                wrong[partition] = position
        if missing:
            raise MissingPositionsError(f"no position is committed of {missing}")
        if wrong:
            raise OutOfRangeError(wrong)

    def _settled(self, partition: TopicPartition) -> int | None:
        """Give a partition's position, taken from the group where none is known yet."""
        position = self._positions[partition]
        if position is None and not self._coordinator.unsettled(partition):
            committed = self._coordinator.committed(partition)
            position = self._positions[partition] = committed[0] if committed else None
        return position

    def _fetched(self) -> dict[TopicPartition, list[Record]]:
        found: dict[TopicPartition, list[Record]] = {}
        left = self._most
        for partition, position in self._positions.items():
            if position is None or partition in self._paused or not left:
                continue
            records, self._positions[partition] = self._cluster.log(partition).read(position, left)
            left -= len(records)
            if records:
                found[partition] = records
        return found

    def position(self, partition: TopicPartition) -> int | None:
        """Give the offset read next; None while it is not known or the partition is gone."""
        return self._positions.get(partition)

    def seek(self, partition: TopicPartition, offset: int) -> bool:
        """Read on from an offset; False if the partition is no longer ours."""
        if partition not in self._positions:
            return False
        self._positions[partition] = offset
        return True

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop reading partitions while polls go on."""
        self._paused |= set(partitions) & set(self._positions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Read partitions again."""
        self._paused -= set(partitions)

    # offsets

    def committed(self, partition: TopicPartition) -> tuple[int, str] | None:
        """Give the group's committed position and the note beside it.

        Raises:
            BrokerError: a transaction that is still open holds it.
        """
        self._cluster.called("committed")
        with self._cluster.changed:
            if self._coordinator.unsettled(partition):
                raise BrokerError(f"{partition}: not settled yet", retriable=True)
            return self._coordinator.committed(partition)

    def partitions_of(self, topic: str) -> list[TopicPartition]:
        """Give all partitions of a topic."""
        with self._cluster.changed:
            return self._cluster.partitions([topic])

    def beginning(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Give the first offsets that are still there."""
        with self._cluster.changed:
            return {partition: self._cluster.log(partition).beginning for partition in partitions}

    def end(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Give the offsets behind the last record that may be read."""
        with self._cluster.changed:
            return {partition: self._cluster.log(partition).stable_end for partition in partitions}

    def highwater(self, partition: TopicPartition) -> int | None:
        """Give the end of the partition."""
        with self._cluster.changed:
            return self._cluster.log(partition).end if partition in self._positions else None

    def commit(self, positions: Mapping[TopicPartition, int], note: Note = no_note) -> None:
        """Commit, each position with its note.

        Raises:
            BrokerError: retriable when the group refuses, for then it rebalances.
        """
        fault = self._cluster.called("commit positions")
        self._commit(positions, note)
        if fault is not None:
            raise BrokerError("committing: no answer", retriable=True)

    def commit_soon(self, positions: Mapping[TopicPartition, int], note: Note, done: _Done) -> None:
        """Commit; `done` is called by a later poll."""
        error: BrokerError | None = None
        try:
            fault = self._cluster.called("commit soon")
            self._commit(positions, note)
            if fault is not None:
                error = BrokerError("committing: no answer", retriable=True)
        except BrokerError as found:
            error = found
        self._told.append((done, error))

    def _commit(self, positions: Mapping[TopicPartition, int], note: Note) -> None:
        with self._cluster.changed:
            refusal = (
                "CommitFailedError"  # the client does not even ask
                if self._generation == NOBODY
                else self._coordinator.refusal(self.group_metadata(), transactional=False)
            )
            if refusal is not None:
                raise BrokerError(f"committing: {refusal}", retriable=True)
            self._coordinator.commit({p: (at, note(p)) for p, at in positions.items()})
            self._cluster.changed.notify_all()

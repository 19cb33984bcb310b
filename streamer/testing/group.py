"""A consumer group as its coordinator keeps it: members, generations, positions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count

from streamer.records import TopicPartition
from streamer.testing.log import Outcome, Transaction

NOBODY = -1
"""The generation of those that are no member."""


@dataclass(frozen=True, slots=True)
class Membership:
    """What a client knows of its membership, and commits with."""

    group_id: str
    generation_id: int = NOBODY
    member_id: str = ""
    group_instance_id: str | None = None


@dataclass(slots=True)
class _Member:
    topics: tuple[str, ...]
    target: set[TopicPartition] = field(default_factory=set)
    owned: set[TopicPartition] = field(default_factory=set)


class Group:
    """Partitions are shared out cooperatively: who loses one gives it back before another has it.

    As Kafka's coordinator it checks who commits by member and generation only: never by
    partition, and not at all the positions of a transaction of nobody (generation -1).
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.generation = 0
        self._numbers = count(1)
        self._members: dict[str, _Member] = {}
        self._positions: dict[TopicPartition, tuple[int, str]] = {}
        self._pending: dict[TopicPartition, Transaction] = {}

    def join(self, topics: tuple[str, ...], partitions: Iterable[TopicPartition]) -> str:
        """Add a member; all others have to join again."""
        member = f"member-{next(self._numbers)}"
        self._members[member] = _Member(topics)
        self.share_out(partitions)
        return member

    def leave(self, member: str, partitions: Iterable[TopicPartition]) -> None:
        """Remove a member, whether it went or was given up; what it owned is free."""
        if self._members.pop(member, None) is not None:
            self.share_out(partitions)

    def share_out(self, partitions: Iterable[TopicPartition]) -> None:
        """Begin a generation: a fair share for each, everybody keeping what it has if it may."""
        self.generation += 1
        there = sorted(partitions)
        for member in self._members.values():
            member.target &= set(there)
        free = [p for p in there if not any(p in m.target for m in self._members.values())]
        for partition in free:
            takers = [m for m in self._members.values() if partition.topic in m.topics]
            if takers:
                min(takers, key=lambda m: len(m.target)).target.add(partition)
        while len(self._members) > 1:
            least = min(self._members.values(), key=lambda m: len(m.target))
            most = max(self._members.values(), key=lambda m: len(m.target))
            movable = sorted(p for p in most.target if p.topic in least.topics)
            if len(most.target) - len(least.target) <= 1 or not movable:
                return
            most.target.discard(movable[-1])
            least.target.add(movable[-1])

    @property
    def members(self) -> set[str]:
        """The names of those that are members now."""
        return set(self._members)

    def knows(self, member: str) -> bool:
        """Whether it is a member."""
        return member in self._members

    def leaving(self, member: str) -> set[TopicPartition]:
        """Give what a member owns and has to give back."""
        found = self._members[member]
        return found.owned - found.target

    def give_back(self, member: str, partitions: set[TopicPartition]) -> None:
        """Free what a member had to give back: a generation ends with it."""
        self._members[member].owned -= partitions
        self.generation += 1

    def take(self, member: str) -> set[TopicPartition]:
        """Give a member those of its partitions that nobody else still owns."""
        found = self._members[member]
        others = [m for name, m in self._members.items() if name != member]
        gained = {
            partition
            for partition in found.target - found.owned
            if not any(partition in other.owned for other in others)
        }
        found.owned |= gained
        return gained

    def refusal(self, who: Membership, *, transactional: bool) -> str | None:
        """Say why positions are not taken from somebody; None if they are."""
        if who.generation_id < 0 and not self._members:
            return None
        if who.generation_id < 0 and not who.member_id:
            return None if transactional else "UnknownMemberIdError"
        if who.member_id not in self._members:
            return "UnknownMemberIdError"
        return None if who.generation_id == self.generation else "IllegalGenerationError"

    def commit(
        self,
        positions: Mapping[TopicPartition, tuple[int, str]],
        transaction: Transaction | None = None,
    ) -> None:
        """Take positions over; those of a transaction are settled when it ends."""
        if transaction is None:
            self._positions.update(positions)
        elif transaction.outcome is Outcome.OPEN:
            self._pending.update(dict.fromkeys(positions, transaction))

    def settled(
        self, transaction: Transaction, positions: Mapping[TopicPartition, tuple[int, str]]
    ) -> None:
        """Take note that a transaction has ended."""
        if transaction.outcome is Outcome.COMMITTED:
            self._positions.update(positions)
        for partition in positions:
            if self._pending.get(partition) is transaction:
                del self._pending[partition]

    def unsettled(self, partition: TopicPartition) -> bool:
        """Whether an open transaction holds a position of the partition."""
        return partition in self._pending

    def committed(self, partition: TopicPartition) -> tuple[int, str] | None:
        """Give the committed position and its note."""
        return self._positions.get(partition)

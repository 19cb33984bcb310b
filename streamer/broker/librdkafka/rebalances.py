"""What librdkafka tells of a group's rebalances, and what that means for the owner.

All of it is called from within the client's polls, by the thread that polls; heartbeats go on
meanwhile in a thread of librdkafka's own.
"""

from collections.abc import Iterable, Mapping
from time import monotonic, sleep

import structlog
from confluent_kafka import Consumer as Client
from confluent_kafka import TopicPartition as ClientPartition
from kafka.structs import ConsumerGroupMetadata

from streamer.broker.joins import Ownership, follows
from streamer.broker.librdkafka.commits import Commits
from streamer.broker.librdkafka.membership import membership_of
from streamer.broker.librdkafka.reading import Reading
from streamer.errors import BrokerError
from streamer.records import TopicPartition

_STEP_S = 0.01
_log = structlog.get_logger("consume")


class Rebalances:
    """Takes partitions over and gives them up.

    A membership is taken while librdkafka waits for the end of the callback that tells what is
    assigned: it joins no other generation meanwhile, and the broker refuses what is published under
    this one once there is another.

    Args:
        group: whose member it is.
        ownership: told which partitions come and go.
        reading: the member's reading.
        commits: commits what is answered of partitions that go.
        static: whether the member has an instance id.
        patience: seconds for which a revocation is held back at the most.

    Attributes:
        joined: whether the group has us.
    """

    def __init__(  # noqa: PLR0913 - the parts of one member
        self,
        group: str,
        ownership: Ownership,
        reading: Reading,
        commits: Commits,
        *,
        static: bool,
        patience: float,
    ) -> None:
        self._group = group
        self._ownership = ownership
        self._reading = reading
        self._commits = commits
        self._static = static
        self._patience = patience
        self._known: tuple[str, int] | None = None
        self.joined = False

    def assigned(self, client: Client, partitions: list[ClientPartition]) -> None:
        """Take over what was added, perhaps nothing; it is read once its position is settled."""
        membership = membership_of(client, self._group)
        new = _ours(partitions)
        client.incremental_assign([ClientPartition(*partition, 0) for partition in new])
        self._reading.take(new)
        self._reading.go_on()
        self._ownership.assigned(new)
        name = _name(membership)
        if not name[0] or name[1] < 0:
            return
        kept = self._reading.owned.difference(new)
        if kept and not follows(self._known, name, static=self._static):
            self._ownership.taken(kept)
            self._reading.take(kept)
            self._ownership.assigned(kept)
        self._known = name
        self.joined = True
        self._ownership.joined(membership)

    def revoked(self, client: Client, partitions: list[ClientPartition]) -> None:
        """Wait for what is being published, commit what is answered, give the partitions up."""
        leaving = _ours(partitions)
        until = monotonic() + self._patience
        while self._ownership.closing(leaving) and monotonic() < until:
            sleep(_STEP_S)
        self._last_commit(client, self._ownership.leaving(leaving))
        self._give_up(client, leaving)

    def lost(self, client: Client, partitions: list[ClientPartition]) -> None:
        """Give up what somebody else may have already."""
        self.joined = False
        self._give_up(client, _ours(partitions))

    def _give_up(self, client: Client, leaving: list[TopicPartition]) -> None:
        self._ownership.taken(leaving)
        there = self._reading.owned.intersection(leaving)
        self._reading.forget(leaving)
        client.incremental_unassign([ClientPartition(*partition) for partition in there])
        self._reading.go_on()

    def _last_commit(
        self, client: Client, positions: Mapping[TopicPartition, tuple[int, str]]
    ) -> None:
        """Commit what is answered of partitions that go; nobody else has them before we say so.

        Under another name somebody may have them already. librdkafka waits for the commit before
        it joins again.
        """
        name = _name(membership_of(client, self._group))
        if not positions or not follows(self._known, name, static=self._static):
            return

        def done(error: Exception | None) -> None:
            if error is not None:  # the next owner answers them again
                told = "partitions go before their positions are committed"
                _log.warning(told, error=repr(error))

        try:
            at = {partition: position for partition, (position, _) in positions.items()}
            self._commits.commit_soon(at, lambda partition: positions[partition][1], done)
        except BrokerError as error:
            done(error)


def _name(membership: ConsumerGroupMetadata) -> tuple[str, int]:
    return str(membership.member_id), int(membership.generation_id)


def _ours(partitions: Iterable[ClientPartition]) -> list[TopicPartition]:
    return [TopicPartition(one.topic, one.partition) for one in partitions]

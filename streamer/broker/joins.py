"""What the client's joins mean for the partitions of a member, and for what it may publish."""

from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Any, Protocol

import structlog
from kafka import KafkaConsumer, errors
from kafka import TopicPartition as ClientPartition
from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.structs import ConsumerGroupMetadata, MemberState

from streamer.broker.offsets import offsets_of
from streamer.records import TopicPartition

JOIN_S = 1.0
"""While a member joins it reads nothing; a join that ends between two polls begins anew."""
_STEP_S = 0.01
_LAST_COMMIT_MS = 2000
_log = structlog.get_logger("consume")


class Ownership(Protocol):
    """Learns which partitions come and go; called from the client's I/O thread."""

    def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """Partitions are ours from now on."""

    def closing(self, partitions: Iterable[TopicPartition]) -> bool:
        """Say whether anything of them is being published this moment; nothing new will be."""
        ...

    def leaving(
        self, partitions: Iterable[TopicPartition]
    ) -> Mapping[TopicPartition, tuple[int, str]]:
        """Give the positions, with their notes, to commit before the partitions go."""
        ...

    def taken(self, partitions: Iterable[TopicPartition]) -> None:
        """Partitions are ours no longer."""

    def joined(self, membership: ConsumerGroupMetadata) -> None:
        """The group has us under this name and generation; all that it changed was told before."""


class Assignor(CooperativeStickyAssignor):  # type: ignore[misc]
    """The client's assignor, claiming what the member owns now.

    The client's own goes on claiming what the member has lost: the leader then waits for it to be
    given up, which never happens, and the partitions are nobody's until the next rebalance.
    """

    owned: Callable[[], Iterable[ClientPartition]] = tuple

    def metadata(self, topics: Iterable[str]) -> Any:
        """Give what a join says of this member."""
        self.member_assignment = list(self.owned())
        return super().metadata(topics)


class RevocationListener(AsyncConsumerRebalanceListener):  # type: ignore[misc]
    """Tells the owner, and holds a revocation back while its records are being published.

    Args:
        client: the member; its I/O loop calls this and waits.
        ownership: the owner.
        joins: commits what may still be committed.
        revoke_timeout: seconds for which a revocation is held back at the most.
    """

    def __init__(
        self, client: KafkaConsumer, ownership: Ownership, joins: "Joins", revoke_timeout: float
    ) -> None:
        self._sleep = client._net.sleep  # noqa: SLF001
        self._ownership = ownership
        self._joins = joins
        self._steps = int(revoke_timeout / _STEP_S)

    async def on_partitions_assigned(self, assigned: Iterable[ClientPartition]) -> None:
        """Pass on what was added."""
        self._ownership.assigned([TopicPartition(*partition) for partition in assigned])

    async def on_partitions_revoked(self, revoked: Iterable[ClientPartition]) -> None:
        """Wait for what is being published, commit what is answered, give the partitions up."""
        partitions = [TopicPartition(*partition) for partition in revoked]
        for _ in range(self._steps):
            if not self._ownership.closing(partitions):
                break
            await self._sleep(_STEP_S)
        await self._joins.last_commit(self._ownership.leaving(partitions))
        self._ownership.taken(partitions)

    async def on_partitions_lost(self, lost: Iterable[ClientPartition]) -> None:
        """Pass on what somebody else may have already."""
        self._ownership.taken([TopicPartition(*partition) for partition in lost])


class Joins:
    """Tells the owner under which name and generation the group has this member.

    The client's own generation moves before it is known which partitions are lost; the broker
    would take their positions under it. And under another name, partitions that the client kept may
    have been somebody else's meanwhile: they are taken over anew. Who keeps its name has had a part
    in every generation, and claimed in each join what it owns: so nobody else had it, although the
    client may not have come to the end of each. Only of a static member the group does not wait for
    the join.

    Args:
        client: the member.
        ownership: the owner of its partitions.
        patience: seconds for which a join is waited for. A group has lost its dead members after
            the session timeout, and the living join at their next heartbeat; an answer that takes
            longer was lost, and the client would wait for it longer than `max_poll_interval`.
        clock: monotonic seconds; passed in by tests.
    """

    def __init__(
        self,
        client: KafkaConsumer,
        ownership: Ownership,
        patience: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._client = client
        self._patience = patience
        self._clock = clock
        self._asked: Any = None
        self._asked_at = 0.0
        self._coordinator = client._coordinator  # noqa: SLF001 - it has no public word for it
        self._ownership = ownership
        self._known: tuple[str, int] | None = None
        self._static = client.config["group_instance_id"] is not None
        for assignor in self._coordinator._assignors.values():  # noqa: SLF001
            assignor.owned = client._subscription.assigned_partitions  # noqa: SLF001

    def under_way(self) -> bool:
        """Whether a join is wanted or under way.

        One that changed metadata began is forgotten by the client when a poll ends before it does;
        then it is asked for again.
        """
        self._ask_again()
        wanted = bool(self._coordinator.need_rejoin())
        if self._coordinator.rejoining and not wanted:
            self._coordinator.request_rejoin()
        return wanted or bool(self._coordinator.rejoining)

    def _ask_again(self) -> None:
        """Break the connection that a join's answer does not come by: the client asks anew then."""
        coordinator, asked = self._coordinator, self._coordinator._join_task  # noqa: SLF001
        if asked is None or asked.is_done:
            self._asked = None
        elif asked is not self._asked:
            self._asked, self._asked_at = asked, self._clock()
        elif self._clock() - self._asked_at > self._patience:
            _log.warning("no answer to a join, asking again", seconds=round(self._patience))
            self._asked = None

            async def broken() -> None:
                coordinator._manager.close(coordinator.coordinator_id)  # noqa: SLF001

            coordinator._net.run(broken)  # noqa: SLF001

    def notice(self) -> None:
        """Tell the owner of a join that is over; to be called after each poll."""
        found = self._client.group_metadata()
        name = (str(found.member_id), int(found.generation_id))
        over = found.state is MemberState.STABLE and not self._coordinator.rejoining
        if not over or name[1] < 0 or name == self._known:
            return
        if self._known is not None and not follows(self._known, name, static=self._static):
            kept = [TopicPartition(*partition) for partition in self._client.assignment()]
            self._ownership.taken(kept)
            self._ownership.assigned(kept)
        self._known = name
        self._ownership.joined(found)

    async def last_commit(self, positions: Mapping[TopicPartition, tuple[int, str]]) -> None:
        """Commit what is answered of partitions that go; nobody else has them before we say so.

        Under another name somebody may have them already.
        """
        found = self._client.group_metadata()
        name = (str(found.member_id), int(found.generation_id))
        if not positions or not follows(self._known, name, static=self._static):
            return
        offsets = offsets_of({p: at for p, (at, _) in positions.items()}, lambda p: positions[p][1])
        commit = self._coordinator._commit_offsets_sync_async  # noqa: SLF001 - commit() would block
        try:
            await commit(offsets, timeout_ms=_LAST_COMMIT_MS)
        except errors.KafkaError as error:  # the next owner answers them again
            _log.warning("partitions go before their positions are committed", error=repr(error))


def follows(known: tuple[str, int] | None, name: tuple[str, int], *, static: bool) -> bool:
    """Whether nobody else can have had our partitions between the known name and this one."""
    if known is None or name[0] != known[0]:
        return False
    passed = name[1] - known[1]
    return passed in (0, 1) or (passed > 1 and not static)

import asyncio
from types import SimpleNamespace

import pytest
from kafka import TopicPartition as ClientPartition
from kafka import errors
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment
from kafka.structs import ConsumerGroupMetadata, MemberState
from support.items import at

from streamer.broker.joins import Assignor, Joins, RevocationListener

P0 = at(0)


class Coordinator:
    """As much of the client's as a join shows."""

    def __init__(self):
        self.rejoining = False
        self.wanted = False
        self.commits = []
        self.failure = None
        self.coordinator_id = "coordinator-1"
        self._join_task = None
        self._assignors = {"cooperative-sticky": Assignor()}
        self.closed = []
        self._manager = SimpleNamespace(close=self.closed.append)
        self._net = SimpleNamespace(run=lambda work: asyncio.run(work()))

    def need_rejoin(self):
        return self.wanted

    def request_rejoin(self):
        self.wanted = True

    async def _commit_offsets_sync_async(self, offsets, timeout_ms):
        if self.failure is not None:
            raise self.failure
        self.commits.append({tuple(p): (o.offset, o.metadata) for p, o in offsets.items()})


class Client:
    def __init__(self, instance=None):
        self._coordinator = Coordinator()
        self._subscription = SimpleNamespace(assigned_partitions=self.assignment)
        self._net = SimpleNamespace(sleep=asyncio.sleep)
        self.member, self.generation, self.state = "me", 1, MemberState.STABLE
        self.config = {"group_instance_id": instance}

    def group_metadata(self):
        return ConsumerGroupMetadata("g", self.generation, self.member, None, self.state)

    def assignment(self):
        return {ClientPartition(*P0)}


class Owner:
    def __init__(self):
        self.told = []
        self.publishing = 0

    def assigned(self, partitions):
        self.told.append(("assigned", *partitions))

    def taken(self, partitions):
        self.told.append(("taken", *partitions))

    def joined(self, membership):
        self.told.append(("joined", membership.member_id, membership.generation_id))

    def closing(self, partitions):
        self.publishing -= 1
        return self.publishing >= 0

    def leaving(self, partitions):
        return {P0: (5, "note")}


@pytest.fixture
def client():
    return Client()


@pytest.fixture
def owner():
    return Owner()


@pytest.fixture
def now():
    return [0.0]


@pytest.fixture
def joins(client, owner, now):
    made = Joins(client, owner, 10, clock=lambda: now[0])
    made.notice()
    owner.told.clear()
    return made


def test_a_membership_is_told_once_when_its_join_is_over(client, owner):
    joins = Joins(client, owner, 10)
    client.state = MemberState.REBALANCING
    joins.notice()
    client.state, client._coordinator.rejoining = MemberState.STABLE, True
    joins.notice()
    assert owner.told == []
    client._coordinator.rejoining = False
    joins.notice()
    joins.notice()
    assert owner.told == [("joined", "me", 1)]


@pytest.mark.parametrize("generation", [2, 3])
def test_a_member_under_its_name_keeps_its_partitions(joins, client, owner, generation):
    client.generation = generation
    joins.notice()
    joins.notice()
    assert owner.told == [("joined", "me", generation)]


@pytest.mark.parametrize(
    ("instance", "member", "generation"),
    [(None, "stranger", 2), (None, "me", 0), ("static", "me", 3), ("static", "stranger", 2)],
)
def test_partitions_are_taken_over_anew_where_somebody_may_have_had_them(
    owner, instance, member, generation
):
    client = Client(instance)
    joins = Joins(client, owner, 10)
    joins.notice()
    owner.told.clear()
    client.member, client.generation = member, generation
    joins.notice()
    assert owner.told == [("taken", P0), ("assigned", P0), ("joined", member, generation)]


def test_whoever_is_no_member_is_told_nothing(joins, client, owner):
    client.member, client.generation, client.state = "", -1, MemberState.UNJOINED
    joins.notice()
    assert owner.told == []


def test_a_join_that_the_client_forgot_is_asked_for_again(joins, client):
    assert not joins.under_way()
    client._coordinator.rejoining = True
    joins.under_way()
    assert client._coordinator.wanted


def test_a_revocation_waits_for_what_is_published_and_commits_what_is_answered(
    joins, client, owner
):
    client.generation = 2  # it moves before the callback
    owner.publishing = 3
    listener = RevocationListener(client, owner, joins, revoke_timeout=1.0)
    asyncio.run(listener.on_partitions_revoked([ClientPartition(*P0)]))
    assert owner.publishing == -1
    assert client._coordinator.commits == [{tuple(P0): (5, "note")}]
    assert owner.told == [("taken", P0)]


def test_a_revocation_is_held_back_no_longer_than_its_timeout(joins, client, owner):
    owner.publishing = 10**9
    listener = RevocationListener(client, owner, joins, revoke_timeout=0.05)
    asyncio.run(listener.on_partitions_revoked([ClientPartition(*P0)]))
    assert owner.told == [("taken", P0)]


def test_nothing_is_committed_of_partitions_that_somebody_may_have(joins, client):
    client.member, client.generation = "stranger", 2
    asyncio.run(joins.last_commit({P0: (5, "")}))
    assert client._coordinator.commits == []


def test_a_member_that_leaves_under_the_name_it_has_commits_what_is_answered(joins, client):
    joins.notice()
    asyncio.run(joins.last_commit({P0: (5, "")}))
    assert client._coordinator.commits == [{tuple(P0): (5, "")}]


def test_a_last_commit_that_fails_is_left_to_the_next_owner(joins, client, owner):
    client.generation = 2
    client._coordinator.failure = errors.CoordinatorNotAvailableError()
    listener = RevocationListener(client, owner, joins, revoke_timeout=1.0)
    asyncio.run(listener.on_partitions_revoked([ClientPartition(*P0)]))
    assert owner.told == [("taken", P0)]


def test_a_join_without_an_answer_is_asked_for_by_another_connection(joins, client, now):
    coordinator = client._coordinator
    coordinator._join_task = SimpleNamespace(is_done=False)
    joins.under_way()
    now[0] += 9
    joins.under_way()
    coordinator._join_task = SimpleNamespace(is_done=False)  # the client has asked anew itself
    joins.under_way()
    now[0] += 9
    joins.under_way()
    assert coordinator.closed == []
    now[0] += 2
    joins.under_way()
    assert coordinator.closed == ["coordinator-1"]
    joins.under_way()
    assert coordinator.closed == ["coordinator-1"]


def test_a_join_that_was_answered_breaks_nothing(joins, client, now):
    client._coordinator._join_task = SimpleNamespace(is_done=False)
    joins.under_way()
    client._coordinator._join_task.is_done = True
    now[0] += 20
    joins.under_way()
    assert client._coordinator.closed == []


def claimed(assignor):
    return [(t.topic, list(t.partitions)) for t in assignor.metadata({P0.topic}).owned_partitions]


def test_a_join_claims_what_the_member_owns_now(client, owner):
    [ours] = client._coordinator._assignors.values()
    theirs = CooperativeStickyAssignor()
    Joins(client, owner, 10)
    for assignor in (ours, theirs):
        assignor.on_assignment(ConsumerProtocolAssignment(1, [(P0.topic, [0])], b""), 1)
        assert claimed(assignor) == [(P0.topic, [0])]
    ours.owned = set  # lost
    assert claimed(ours) == []
    assert claimed(theirs) == [(P0.topic, [0])]  # the trap: why ours is needed

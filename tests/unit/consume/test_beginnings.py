import pytest
from support.reading import P0, P1, World

from streamer.consume.beginnings import Beginnings
from streamer.errors import BrokerError

OPEN = BrokerError("a transaction is open on the position", retriable=True)


@pytest.fixture
def world():
    made = World(reset="latest")
    made.consumer.stored = {}
    made.consumer.ends[P1] = 3
    made.consumer.positions = {P0: None, P1: None}  # they are ours
    return made


def beginnings(world, **given):
    reset, policy = given.get("reset", "latest"), given.get("out_of_range", "earliest")
    return Beginnings(world.consumer, reset, policy, world.clock)


def test_first_positions_are_committed_together(world):
    """A crash between two commits would let the group look as if it had begun before."""
    assert beginnings(world).of([P0, P1]) == {P0: (10, ""), P1: (3, "")}
    assert world.consumer.commits == [{P0: 10, P1: 3}]


def test_members_that_begin_together_all_begin_at_the_end(world):
    made = beginnings(world)
    made.ask(["in"])
    world.consumer.stored[P0] = 10  # another member of the same generation was quicker
    assert made.of([P1]) == {P1: (3, "")}


def test_who_joins_a_group_that_has_begun_reads_what_is_new_from_its_beginning(world):
    world.consumer.stored[P0] = 10
    made = beginnings(world)
    made.ask(["in"])
    assert made.of([P1]) == {P1: (0, "")}


def test_first_positions_that_cannot_be_committed_are_asked_for_again(world):
    made = beginnings(world)
    world.consumer.stored[P1] = 2

    def refuse(positions, note=None):
        raise OPEN

    commit, world.consumer.commit = world.consumer.commit, refuse
    assert made.of([P0, P1]) == {P1: (2, "")}
    world.consumer.commit = commit
    assert made.of([P0]) == {P0: (0, "")}


def test_a_position_that_takes_long_leaves_time_for_the_others(world):
    world.consumer.stored = {P0: 4, P1: 2}
    committed, asked = world.consumer.committed, []

    def slow(partition):
        asked.append(partition)
        if partition == P0:
            world.now[0] += 3
            raise OPEN
        return committed(partition)

    world.consumer.committed = slow
    made = beginnings(world)
    assert made.of([P0, P1]) == {P1: (2, "")}
    assert made.of([P0]) == {}  # as long as it was waited for, the others are read
    assert asked == [P0, P1]
    world.now[0] += 3.1
    world.consumer.committed = committed
    assert made.of([P0]) == {P0: (4, "")}


def test_polls_are_not_kept_waiting_by_all_of_them_at_once(world):
    asked = []

    def slow(partition):
        asked.append(partition)
        world.now[0] += 6
        raise OPEN

    world.consumer.committed = slow
    made = beginnings(world)
    assert made.of([P0, P1]) == {}
    assert asked == [P0]
    assert made.of([P0, P1]) == {}
    assert asked == [P0, P1]  # the one that was left out comes first


def test_what_no_try_gets_over_is_raised(world):
    world.consumer.fail_committed = [BrokerError("the principal may not", retriable=False)]
    with pytest.raises(BrokerError, match="may not"):
        beginnings(world).of([P0])


def test_nothing_is_committed_of_what_has_been_taken_meanwhile(world):
    made = beginnings(world)
    del world.consumer.positions[P1]
    made.of([P0, P1])
    assert world.consumer.commits == [{P0: 10}]

from itertools import islice

import pytest
from support.reading import P0, P1, World

from streamer.broker import OutOfRangeError
from streamer.errors import BrokerError


def raised(error):
    raise error


GONE = BrokerError("committing: the coordinator is gone", retriable=True)


@pytest.fixture
def world():
    made = World()
    made.consumer.script = [lambda: made.consumer.assign(P0)]
    return made


def test_every_record_is_read_once_and_its_position_committed(world):
    world.run(10)
    assert world.seen == list(range(10))
    assert world.consumer.stored[P0] == 10
    assert world.events.commits >= 1


def test_a_full_line_pauses_and_polls_go_on(world):
    world.room = False
    world.run(20, settle=False)
    assert world.consumer.paused == {P0}
    assert len(world.consumer.polls) == 20
    assert world.gatherer.records == 8  # two polls of four: a whole wave of six is there
    world.room = True
    world.run(5)
    assert world.consumer.paused == set()
    assert world.seen == list(range(10))
    assert world.events.pauses == [1, 0]


def test_a_wave_that_is_cut_makes_room_for_the_next_poll():
    """A poll of paused partitions waits for nothing, a tenth of a second for each wave."""
    world = World(most=4)  # as many as a poll gives
    world.consumer.script = [lambda: world.consumer.assign(P0)]
    world.run(4)
    assert world.seen == list(range(10))
    assert world.events.pauses == []


def test_a_line_without_room_is_waited_for_and_not_more_records(world):
    world.room = False
    world.run(4, settle=False)
    assert world.waited
    assert set(world.consumer.polls[-len(world.waited) :]) == {0.001}  # it only looks what has come


def test_memory_that_is_taken_holds_waves_back():
    world = World(budget=450, most=2)
    world.consumer.script = [lambda: world.consumer.assign(P0)]
    cut = world.run(10, settle=False)
    assert [len(wave.items) for wave in cut] == [2, 2]
    world.budget.give_back(cut[0].cost_bytes)
    assert [len(wave.items) for wave in world.run(2, settle=False)] == [2]


def test_a_small_step_is_committed_before_the_next_is_begun(world):
    world.consumer.notes[P0] = "streamer tries=3 step=8"  # the next is of one record
    committed = []
    for wave in world.source.waves(
        lambda: True, world.waited.append, lambda: len(world.consumer.polls) > 12
    ):
        assert len(wave.items) == 1
        committed.append(world.consumer.stored[P0])
        world.budget.give_back(wave.cost_bytes)
        world.commits.answered({p: (s.epoch, s.position) for p, s in wave.slices.items()})
    assert committed == list(range(len(committed)))
    assert len(committed) > 3


@pytest.mark.parametrize(("owner", "step"), [("streamer-1", 8), ("gone", 1)])
def test_an_owner_that_lives_has_not_died_of_its_records(world, owner, step):
    world.consumer.notes[P0] = f"streamer tries=3 step=8 by={owner}"
    cut = world.run(4, settle=False)
    assert len(cut[0].items) == min(step, 4)


def test_what_is_polled_while_a_partition_comes_is_read_again_from_its_commit(world):
    # the client fetches in the very poll that assigns; that poll's records are not gathered
    world.consumer.stored[P0] = 3
    world.run(10)
    assert world.seen == list(range(3, 10))


def test_a_partition_that_goes_and_comes_within_a_poll_is_read_from_its_commit(world):
    def away_and_back():
        world.consumer.take(P0)
        world.consumer.assign(P0)

    world.room = False
    world.consumer.script += [None, away_and_back]
    world.run(3, settle=False)
    world.room = True
    world.run(8)
    assert world.seen == list(range(10))


def test_records_are_not_gathered_before_their_position_is_settled(world):
    world.consumer.fail_committed = [GONE, GONE]
    world.run(12)
    assert world.seen == list(range(10))


def test_a_partition_that_is_gone_leaves_no_records_behind(world):
    world.consumer.ends[P1] = 4
    world.consumer.script = [lambda: world.consumer.assign(P0, P1)]
    world.room = False
    world.run(2, settle=False)
    assert world.gatherer.records == 8
    world.consumer.script = [lambda: world.consumer.take(P1)]
    world.run(1, settle=False)
    assert world.gatherer.partitions_with_records() == [P0]


@pytest.mark.parametrize(("reset", "begins"), [("earliest", 2), ("latest", 10)])
def test_a_new_group_begins_where_it_is_told_and_commits_that_at_once(reset, begins):
    world = World(reset=reset)
    world.consumer.begins[P0] = 2
    world.consumer.stored = {}
    world.consumer.script = [lambda: world.consumer.assign(P0)]
    world.run(1)
    assert world.consumer.commits[0] == {P0: begins}
    world.run(10)
    assert world.seen == list(range(begins, 10))


def test_a_partition_added_later_is_read_from_its_beginning_even_with_latest():
    world = World(reset="latest")
    world.consumer.stored = {P0: 10}
    world.consumer.ends[P1] = 3
    world.consumer.script = [lambda: world.consumer.assign(P0, P1)]
    world.run(10)
    assert world.seen == [0, 1, 2]


def test_all_partitions_of_a_new_group_begin_at_their_ends():
    world = World(reset="latest")
    world.consumer.stored = {}
    world.consumer.ends[P1] = 3
    world.consumer.script = [lambda: world.consumer.assign(P0, P1)]
    world.run(10)
    assert world.seen == []
    assert world.consumer.stored == {P0: 10, P1: 3}


def test_positions_that_retention_has_passed_end_the_process(world):
    world.consumer.script.append(OutOfRangeError({P0: 0}))
    world.consumer.begins[P0] = 6
    with pytest.raises(BrokerError, match=r"6 records are lost.*on_offset_out_of_range") as raised:
        world.run(5)
    assert not raised.value.retriable


@pytest.mark.parametrize(("policy", "goes_on_at"), [("earliest", 6), ("latest", 10)])
def test_positions_that_retention_has_passed_may_be_given_up(policy, goes_on_at):
    world = World(out_of_range=policy)
    world.consumer.begins[P0] = 6
    world.consumer.script = [lambda: world.consumer.assign(P0), OutOfRangeError({P0: 0})]
    world.run(10)
    # the first poll's records are not gathered; the second poll fails
    assert world.seen == list(range(goes_on_at, 10))
    assert world.events.lost == {P0: goes_on_at}
    assert world.consumer.stored[P0] == 10


def test_a_position_behind_the_logs_end_is_rewound_and_what_was_read_is_dropped():
    world = World(out_of_range="earliest")
    world.consumer.stored[P0] = 50
    world.consumer.script = [
        lambda: world.consumer.assign(P0),
        OutOfRangeError({P0: 50}),
    ]
    world.run(10)
    assert world.assignment.epochs()[P0] == 2
    assert world.seen == list(range(10))
    assert world.consumer.stored[P0] == 10


def test_a_rewind_is_committed_before_anything_behind_it_is_answered():
    """What was committed would else pass for the answers of what comes next."""
    world = World(out_of_range="earliest")
    world.consumer.stored[P0] = 50
    world.consumer.script = [lambda: world.consumer.assign(P0), OutOfRangeError({P0: 50})]
    world.run(2, settle=False)
    assert world.consumer.commits == [{P0: 0}]


def test_a_step_back_that_fails_is_taken_again():
    """The client may say but once that a position is out of range: it is gone to again."""
    world = World(out_of_range="earliest")
    world.consumer.stored[P0] = 50
    world.consumer.script = [lambda: world.consumer.assign(P0), OutOfRangeError({P0: 50})]
    sought, seek = [], world.consumer.seek
    world.consumer.seek = lambda partition, offset: sought.append(offset) or seek(partition, offset)
    commit, world.consumer.commit = world.consumer.commit, lambda *_: raised(GONE)
    world.run(2, settle=False)
    assert sought == [50, 50]  # where it begins, and once more
    world.consumer.commit = commit
    world.consumer.script = [OutOfRangeError({P0: 50})]
    world.run(10)
    assert world.seen == list(range(10))


@pytest.mark.parametrize("policy", ["stop", "earliest", "latest"])
def test_a_late_word_of_a_position_that_was_out_of_range_changes_nothing(policy):
    world = World(out_of_range=policy)
    world.consumer.script = [
        lambda: world.consumer.assign(P0),
        None,
        OutOfRangeError({P0: 50}),
    ]
    world.run(10)
    assert world.seen == list(range(10))
    assert world.events.lost.get(P0, 0) == 0


def test_polls_that_fail_are_tried_again_after_a_while(world):
    world.consumer.script += [BrokerError("no leader", retriable=True)] * 3
    world.run(10)
    assert world.seen == list(range(10))
    assert [0.05 < seconds < 0.5 for seconds in world.slept] == [True] * 3


def test_what_no_try_gets_over_ends_the_loop(world):
    world.consumer.script.append(BrokerError("the principal may not", retriable=False))
    with pytest.raises(BrokerError, match="may not"):
        world.run(5)


def test_positions_that_move_without_records_are_committed(world):
    world.consumer.ends[P0] = 0

    def over_markers():
        world.consumer.positions[P0] = 7

    world.consumer.script += [None, over_markers]
    cut = world.run(20)
    assert [wave.items for wave in cut] == [[]]
    assert world.consumer.stored[P0] == 7


def test_an_idle_line_may_wait_for_more():
    world = World(wait=0.05)
    world.consumer.ends[P0] = 1
    world.consumer.script = [lambda: world.consumer.assign(P0)]
    world.run(2, settle=False)
    assert world.seen == []
    world.consumer.ends[P0] = 3
    world.run(10)
    assert world.seen == [0, 1, 2]


def test_commits_that_fail_are_repeated_but_not_at_once(world):
    world.consumer.commit_error = GONE
    world.run(6)
    world.consumer.commit_error = None
    assert world.consumer.stored[P0] == 0
    world.run(30)
    assert world.consumer.stored[P0] == 10


def test_the_end_waits_for_what_is_in_the_line_and_its_commit(world):
    [first] = islice(world.run(3, settle=False), 1)
    calls = []

    def finished():
        calls.append(world.source)
        if len(calls) == 5:
            world.commits.answered({P0: (1, first.slices[P0].position)})
        return len(calls) >= 5

    world.source.linger(finished)
    assert world.consumer.stored[P0] == first.slices[P0].position
    assert world.consumer.paused == {P0}
    world.source.close()
    assert world.consumer.closed


def test_whoever_is_to_leave_at_once_waits_for_no_commit(world):
    world.run(3, settle=False)
    world.commits.answered({P0: (1, 4)})
    world.consumer.commit_error = GONE
    polls = len(world.consumer.polls)
    world.source.linger(lambda: True, abandoned=lambda: len(world.consumer.polls) > polls + 50)
    assert world.consumer.stored[P0] == 0


def test_an_idle_loop_waits_in_its_polls(world):
    world.consumer.ends[P0] = 0
    world.run(10)
    assert world.consumer.polls[-3:] == [0.1] * 3

import time
from collections.abc import Callable
from threading import Event, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.runtime import Budget, Channel, Closed, Stage, run_line


def eventually(is_so: Callable[[], bool]) -> bool:
    """Wait for other threads, for five seconds at the most."""
    deadline = time.monotonic() + 5
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def plus(number):
    return lambda items: (item + number for item in items)


def twice(items):
    for item in items:
        yield item
        yield -item


def in_pairs(items):
    held = []
    for item in items:
        held.append(item)
        if len(held) == 2:
            yield sum(held)
            held = []
    yield from held


FUNCTIONS = st.sampled_from([plus(1), plus(-7), twice, in_pairs, iter])


@given(
    st.lists(st.integers(-9, 9), max_size=20), st.lists(FUNCTIONS, max_size=4), st.integers(1, 3)
)
def test_a_line_of_threads_gives_what_the_composed_functions_give(items, functions, capacity):
    expected = iter(items)
    for function in functions:
        expected = function(expected)
    feed, threads, tail = run_line([Stage("stage", f) for f in functions], capacity)

    def give():
        for item in items:
            feed.put(item)
        feed.close()

    giver = Thread(target=give)
    giver.start()
    assert list(tail) == list(expected)
    for thread in [giver, *threads]:
        thread.join(5)
        assert not thread.is_alive()
    assert [thread.error for thread in threads] == [None] * len(functions)


@pytest.mark.parametrize(("stages", "capacity"), [(1, 1), (2, 1), (3, 2), (4, 3)])
def test_a_stuck_sink_stops_the_source_after_what_stages_and_channels_hold(stages, capacity):
    feed, _, tail = run_line([Stage(str(n), iter) for n in range(stages)], capacity)
    given_away = []

    def give():
        try:
            for item in range(1000):
                feed.put(item)
                given_away.append(item)
        except Closed:
            pass

    giver = Thread(target=give)
    giver.start()
    sink = iter(tail)
    next(sink)
    # one is with the sink, each stage holds one, each of the stages + 1 channels is full
    held = 1 + stages + (stages + 1) * capacity
    assert eventually(lambda: len(given_away) == held)
    time.sleep(0.02)
    assert len(given_away) == held
    tail.discard()
    next(sink, None)
    feed.discard()
    giver.join(5)
    assert not giver.is_alive()


def test_a_reader_gets_what_was_there_when_the_channel_was_closed():
    channel = Channel(3)
    for item in "abc":
        channel.put(item)
    channel.close()
    assert list(channel) == ["a", "b", "c"]
    with pytest.raises(Closed):
        channel.put("d")


def test_discarding_drops_what_is_there():
    channel = Channel(2)
    channel.put("a")
    channel.discard()
    assert list(channel) == []
    assert len(channel) == 0


def test_a_writer_that_waits_learns_that_its_reader_has_ended():
    channel = Channel(1)
    channel.put(1)
    outcome = []

    def put():
        try:
            channel.put(2)
        except Closed as closed:
            outcome.append(closed)

    writer = Thread(target=put)
    writer.start()
    channel.close()
    writer.join(5)
    assert len(outcome) == 1
    assert list(channel) == [1]


def test_a_reader_that_waits_ends_when_the_channel_is_closed():
    channel = Channel(1)
    read = []
    reader = Thread(target=lambda: read.extend(channel))
    reader.start()
    channel.put(1)
    channel.close()
    reader.join(5)
    assert read == [1]


def test_room_is_told_before_it_is_needed():
    channel = Channel(1)
    assert channel.has_room()
    channel.put(1)
    assert not channel.has_room()
    assert channel.get_within(0) == 1
    assert channel.get_within(0) is None
    assert channel.has_room()
    channel.put(2)
    channel.close()
    assert channel.has_room()  # a put would raise at once, not wait


def test_a_channel_holds_at_least_one_item():
    with pytest.raises(ValueError, match="at least one"):
        Channel(0)


def test_a_failing_stage_keeps_its_error_and_both_neighbours_end():
    ended = Event()

    def endless(items):
        try:
            yield from items
        finally:
            ended.set()

    def failing(items):
        for item in items:
            if item == 2:
                raise RuntimeError("the third")
            yield item

    feed, threads, tail = run_line(
        [Stage("before", endless), Stage("failing", failing), Stage("behind", iter)]
    )

    def give():
        try:
            for item in range(1000):
                feed.put(item)
        except Closed:
            pass

    giver = Thread(target=give)
    giver.start()
    assert list(tail) == [0, 1]
    giver.join(5)
    assert not giver.is_alive()
    for thread in threads:
        thread.join(5)
    assert [type(thread.error) for thread in threads] == [type(None), RuntimeError, type(None)]
    assert ended.wait(5)


def test_a_stage_is_stalled_only_while_it_has_something_to_do():
    holding = Event()

    def held(items):
        for item in items:
            holding.wait(5)
            yield item

    feed, [thread], tail = run_line([Stage("held", held)])
    assert thread.stalled_for(thread.moved_at + 100) == 0
    feed.put(1)
    assert eventually(lambda: thread.busy)
    assert thread.stalled_for(thread.moved_at + 100) == 100
    holding.set()
    assert next(iter(tail)) == 1
    assert eventually(lambda: not thread.busy)
    assert thread.stalled_for(thread.moved_at + 100) == 0
    feed.close()
    thread.join(5)


def test_a_budget_gives_what_is_left():
    budget = Budget(10)
    assert (budget.limit_bytes, budget.left_bytes, budget.taken_bytes) == (10, 10, 0)
    budget.take(7)
    assert budget.fits(3)
    assert not budget.fits(4)
    assert budget.left_bytes == 3
    budget.give_back(7)
    assert budget.taken_bytes == 0


def test_what_exceeds_the_budget_passes_alone():
    budget = Budget(10)
    assert budget.fits(1000)
    budget.take(1000)
    assert budget.left_bytes == 0
    assert not budget.fits(1)
    assert not budget.fits(0)
    budget.give_back(1000)
    assert budget.fits(1)


def test_a_budget_notices_that_too_much_is_given_back():
    budget = Budget(10)
    budget.take(3)
    with pytest.raises(ValueError, match="1 bytes more"):
        budget.give_back(4)


def test_an_item_is_waited_for_within_a_time_and_no_longer_than_the_channel_lives():
    channel = Channel(1)
    writer = Thread(target=channel.put, args=(7,))
    writer.start()
    assert channel.get_within(5) == 7
    writer.join(5)
    assert channel.get_within(0.01) is None
    channel.close()
    assert channel.get_within(60) is None

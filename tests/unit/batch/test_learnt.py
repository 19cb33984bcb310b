import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.batch import learnt


def timed(fixed, each, saturates=10**9):
    """Give a model that takes a fixed time, then so much for each item; dearer when too large."""
    ran = []

    def seconds_of(items):
        ran.append(items)
        dearer = 2 if items > saturates else 1
        return fixed + items * each * dearer

    return seconds_of, ran


def test_the_smallest_batch_whose_overhead_is_little_is_learnt():
    seconds_of, _ = timed(0.0048, 0.005)
    found = learnt(seconds_of, 32, most=None, budget_s=60)
    assert found.items == 32
    assert found.cost == 32 * 32
    assert found.overhead == pytest.approx(32, abs=2)


def test_a_model_of_nothing_but_overhead_gets_the_largest_batches():
    seconds_of, _ = timed(0.001, 1e-7)
    assert learnt(seconds_of, 8, most=None, budget_s=60).items == 256


def test_a_model_whose_large_batches_are_dearer_gets_small_ones():
    seconds_of, _ = timed(0.004, 0.01, saturates=4)
    assert learnt(seconds_of, 100, most=None, budget_s=60).items == 4


def test_no_more_is_tried_than_the_model_takes():
    seconds_of, ran = timed(0.01, 0.001)
    assert learnt(seconds_of, 10, most=8, budget_s=60).items == 8
    assert max(ran) == 8


def test_learning_ends_when_its_time_is_used_up():
    seconds_of, ran = timed(0.1, 0.1)
    learnt(seconds_of, 10, most=None, budget_s=1.0)
    assert sum(0.1 + items * 0.1 for items in ran) < 2.5


def test_learning_ends_with_a_model_that_waits_and_takes_no_time_of_the_processor():
    now, ran = [0.0], []

    def seconds_of(items):
        ran.append(items)
        now[0] += 0.3 * items
        return 1e-5

    learnt(seconds_of, 10, most=None, budget_s=1.0, clock=lambda: now[0])
    assert set(ran) == {1}


@given(st.lists(st.floats(1e-5, 1.0), min_size=1, max_size=9))
def test_whatever_is_measured_gives_a_plan(seconds):
    found = learnt(
        lambda items: seconds[items.bit_length() - 1],
        32,
        most=2 ** (len(seconds) - 1),
        budget_s=100,
    )
    assert 1 <= found.items <= 256
    assert found.overhead >= 0

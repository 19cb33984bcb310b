import random

import pytest

from streamer.batch import BatchBounds, Ceiling, Running


def told(running, fixed, each, batches=1024, seed=0):
    """Run batches of a model that costs so much; give the overheads that it tells on the way."""
    chance = random.Random(seed)
    found = []
    for _ in range(batches):
        cost = chance.randrange(50, 2000)
        overhead = running.ran(cost, (fixed + cost * each) * chance.uniform(0.95, 1.05))
        found += [overhead] if overhead is not None else []
    return found


def test_an_overhead_that_was_learnt_wrongly_is_corrected():
    found = told(Running(100), fixed=0.02, each=0.0001)
    assert found[-1] == pytest.approx(200, rel=0.25)


def test_nothing_is_told_while_it_is_about_as_learnt():
    assert told(Running(200), fixed=0.02, each=0.0001) == []


def test_it_moves_by_a_factor_of_four_at_the_most():
    assert told(Running(100), fixed=1.0, each=0.0001)[-1] == 400
    assert told(Running(100), fixed=0.0, each=0.0001)[-1] == 25


def test_a_model_that_has_become_another_is_followed():
    running = Running(100)
    assert told(running, fixed=0.02, each=0.0001)
    assert told(running, fixed=0.01, each=0.0001, batches=4096)[-1] == pytest.approx(100, rel=0.25)


def test_of_batches_all_alike_nothing_is_concluded():
    running = Running(100)
    assert all(running.ran(500, 0.5 + number % 7) is None for number in range(1024))


def test_bounds_weigh_padding_against_what_was_seen_last():
    ceiling = Ceiling(BatchBounds(8, 1000, overhead=10))
    ceiling.weigh(40)
    assert ceiling.bounds == BatchBounds(8, 1000, overhead=40)
    ceiling.ran_out(1000)
    assert ceiling.bounds == BatchBounds(8, 500, overhead=40)

"""Runs as they are kept, and looks that are counted before anybody looks."""

import pytest

from streamer.retraining.place import Place
from streamer.retraining.runs import KILLED, Runs


@pytest.fixture
def place(tmp_path):
    return Place(str(tmp_path))


def begun(runs: Runs, taken: int = 10):
    return runs.begin(
        why="test", champion="1", set_version=1, digest="d", taken=taken, trained=("a", "b")
    )


def test_a_run_is_read_again_as_it_was_written(place):
    runs = Runs(place)
    run = runs.keep(begun(runs), stage="done", verdict="reject", reasons=("worse",))
    assert Runs(place).all() == [run]
    assert Runs(place).open() == []


def test_a_killed_run_is_begun_again_but_not_for_ever(place):
    runs = Runs(place)
    done = runs.keep(begun(runs), stage="done", verdict="promote", version="2")
    for number in range(3):
        runs.keep(begun(runs), stage="done", verdict=KILLED)
        last = runs.last()
        assert last is not None
        assert last.number == (done.number if number < 2 else 4)


def test_each_look_counts_once_also_if_the_run_is_killed_while_it_looks(place):
    runs = Runs(place)
    first, second = begun(runs), begun(runs)
    assert runs.look(first) == 1
    assert Runs(place).look(first) == 1
    assert Runs(place).look(second) == 2
    assert Runs(place).looks == 2


def test_retired_records_are_looked_at_no_more_and_looks_begin_anew(place):
    runs = Runs(place)
    runs.look(begun(runs))
    runs.retire(7)
    assert (Runs(place).retired, Runs(place).looks) == (7, 0)
    assert runs.look(begun(runs)) == 1


def test_the_versions_that_learnt_from_an_example_are_known(place):
    runs = Runs(place)
    runs.keep(begun(runs), stage="done", verdict="promote", version="2")
    runs.keep(begun(runs), stage="done", verdict="reject")
    assert Runs(place).trained_on("a") == ["2"]
    assert Runs(place).trained_on("z") == []

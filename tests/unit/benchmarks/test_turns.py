"""Turns: who has how many, and what a failed one costs the others."""

import pytest

from benchmarks.results import Results
from benchmarks.turns import Part, Run, rounds


@pytest.fixture
def run(tmp_path):
    results = Results(tmp_path / "results.json", rounds=3, scale=1.0)
    return Run(results, 3, 2, 1.0, frozenset(), tmp_path)


def turn(taken, name, *, fails=0, interrupted=None):
    def take(number):
        taken.append((name, number))
        if number == interrupted:
            raise KeyboardInterrupt
        if number < fails:
            raise TimeoutError("0 of 5 answers came")
        return {"rate": 1.0}

    return take


def test_every_second_round_goes_the_other_way_round(run):
    taken = []
    rounds(run, "text", [Part(name, turn(taken, name), 2) for name in "ab"])
    assert taken == [("a", 0), ("b", 0), ("b", 1), ("a", 1)]


def test_some_take_part_in_fewer_rounds(run):
    taken = []
    figures = rounds(run, "text", [Part("a", turn(taken, "a"), 3), Part("b", turn(taken, "b"), 1)])
    assert [name for name, _ in taken] == ["a", "b", "a", "a"]
    assert figures.ratios("a", "b", "rate") == [1.0]


def test_a_system_that_failed_once_has_another_turn_and_after_two_failures_none(run):
    taken = []
    parts = [Part("a", turn(taken, "a", fails=1), 3), Part("b", turn(taken, "b", fails=3), 3)]
    figures = rounds(run, "text", parts)
    assert [number for name, number in taken if name == "a"] == [0, 1, 2]
    assert [number for name, number in taken if name == "b"] == [0, 1]
    assert figures.failed == {
        "a": ["round 1: 0 of 5 answers came"],
        "b": ["round 1: 0 of 5 answers came", "round 2: 0 of 5 answers came"],
    }
    assert len(figures.values("a", "rate")) == 2


def test_a_turn_that_fails_because_the_run_is_interrupted_is_no_failure(run):
    def take(number):
        run.results.interrupted = True  # as the signal's handler does
        raise TimeoutError

    taken = []
    figures = rounds(run, "text", [Part("a", take, 3), Part("b", turn(taken, "b"), 3)])
    assert figures.failed == {}
    assert taken == []


def test_the_rounds_before_an_interruption_count(run):
    taken = []
    parts = [Part("a", turn(taken, "a"), 3), Part("b", turn(taken, "b", interrupted=1), 3)]
    figures = rounds(run, "text", parts)
    assert run.results.interrupted
    assert taken[-1] == ("b", 1)
    assert figures.ratios("a", "b", "rate") == [1.0]

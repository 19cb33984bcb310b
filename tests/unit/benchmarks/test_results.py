"""Figures of the benchmarks: ratios within a round, kept after every turn."""

import json

import pytest

from benchmarks.latency import at_share
from benchmarks.results import Figures, Results


def turned(figures, system, **rates):
    for number, rate in rates.items():
        figures.turns.setdefault(system, {})[int(number[1:])] = {"rate": rate}
    return figures


def test_ratios_are_formed_within_a_round():
    figures = turned(Figures(), "raw", r0=100.0, r1=10.0, r2=50.0)
    turned(figures, "ours", r0=90.0, r1=9.5, r2=40.0)
    assert figures.ratios("ours", "raw", "rate") == pytest.approx([0.9, 0.95, 0.8])
    assert figures.told()["systems"]["ours"]["medians"]["ratio"] == pytest.approx(0.9)


def test_a_round_that_only_one_system_has_makes_no_ratio():
    figures = turned(Figures(), "raw", r0=100.0, r1=100.0)
    turned(figures, "ours", r1=80.0)
    assert figures.ratios("ours", "raw", "rate") == [0.8]


@pytest.mark.parametrize(
    ("bar", "holds"), [(">= 0.9", True), (">= 0.95", False), ("<= 0.9", True), ("<= 0.8", False)]
)
def test_what_is_asked_is_held_against_the_median(bar, holds):
    figures = Figures()
    figures.ask("ours ÷ raw", [0.1, 0.9, 1.4], bar)
    [line] = figures.asked
    assert line["figure"] == 0.9
    assert line["holds"] is holds


def test_nothing_is_said_of_what_was_not_measured():
    figures = Figures()
    figures.ask("ours ÷ raw", [], ">= 0.9")
    assert figures.asked == []


def test_an_interrupted_run_keeps_every_turn_that_was_over(tmp_path):
    file = tmp_path / "deep" / "results.json"
    results = Results(file, rounds=9, scale=1.0)
    results.add("text", "ours", 0, {"rate": 90.0, "load": 0.1})
    results.of("text").failed["theirs"] = ["round 1: 3 of 9 answers came"]
    results.add("text", "ours", 1, {"rate": 110.0, "load": 0.1})
    kept = json.loads(file.read_text())["text"]
    ours = kept["systems"]["ours"]
    assert [turn["rate"] for turn in ours["rounds"]] == [90.0, 110.0]
    assert ours["medians"]["rate"] == 100.0
    assert kept["failed"] == {"theirs": ["round 1: 3 of 9 answers came"]}
    assert {"commit", "cores", "cpu", "load_before", "peers", "written"} <= set(kept["about"])


def test_benchmarks_that_are_not_run_again_stay_with_what_they_were_run_on(tmp_path):
    file = tmp_path / "results.json"
    first = Results(file, rounds=9, scale=0.5)
    first.add("text", "ours", 0, {"rate": 90.0})
    first.add("idle", "ours", 0, {"rate": 1.0})
    second = Results(file, rounds=1, scale=1.0)
    second.add("idle", "theirs", 0, {"rate": 2.0})
    kept = json.loads(file.read_text())
    assert kept["text"]["about"]["scale"] == 0.5
    assert kept["idle"]["about"]["scale"] == 1.0
    assert list(kept["idle"]["systems"]) == ["theirs"]
    assert second.known("text", "rate") == {"ours": 90.0}
    assert second.known("idle", "rate") == {"theirs": 2.0}
    assert second.known("flat", "rate") == {}


def test_rounds_are_added_to_those_of_an_earlier_run(tmp_path):
    file = tmp_path / "results.json"
    first = Results(file, rounds=1, scale=1.0)
    first.add("text", "ours", 0, {"rate": 90.0})
    first.add("text", "theirs", 0, {"rate": 100.0})
    figures = Results(file, rounds=1, scale=1.0, add=True).of("text")
    assert figures.rounds() == 1
    assert figures.ratios("ours", "theirs", "rate") == [0.9]
    with pytest.raises(SystemExit, match=r"--scale 1\.0"):
        Results(file, rounds=1, scale=0.5, add=True).of("text")
    assert Results(file, rounds=1, scale=0.5).of("text").rounds() == 0


@pytest.mark.parametrize(("share", "value"), [(0.5, 5), (0.99, 10), (0.0, 1)])
def test_a_share_of_the_values_does_not_exceed_what_is_told(share, value):
    assert at_share(range(10, 0, -1), share) == value

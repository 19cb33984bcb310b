"""Figures of the benchmarks: ratios within a round, kept after every turn, told as a table."""

import json

import pytest

from benchmarks.latency import at_share
from benchmarks.results import Figures, Results, table


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
    results.of("text").failed["theirs"] = "TimeoutError: 3 of 9 answers came"
    results.add("text", "ours", 1, {"rate": 110.0, "load": 0.1})
    kept = json.loads(file.read_text())
    ours = kept["results"]["text"]["systems"]["ours"]
    assert [turn["rate"] for turn in ours["rounds"]] == [90.0, 110.0]
    assert ours["medians"]["rate"] == 100.0
    assert {"commit", "cores", "cpu", "load_before", "peers"} <= set(kept["about"])
    told = table(kept)
    assert "| ours | 2 | 100 |" in told
    assert "fewer records" not in told
    assert "theirs failed: TimeoutError" in told


def test_a_run_of_few_records_says_so(tmp_path):
    assert "a few waves only" in table(Results(tmp_path / "a.json", 1, scale=0.1).content())


@pytest.mark.parametrize(("share", "value"), [(0.5, 5), (0.99, 10), (0.0, 1)])
def test_a_share_of_the_values_does_not_exceed_what_is_told(share, value):
    assert at_share(range(10, 0, -1), share) == value

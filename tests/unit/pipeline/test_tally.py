from math import log

import pytest
from support.items import at, record

from streamer.pipeline.model import Chosen
from streamer.pipeline.tally import Tally, best_score, failed_in
from streamer.records import Answer, Item, Rejection, Slice, Wave


class Version:
    """A version, as far as a tally looks at it: by itself."""


ONE, TWO, OTHER = Version(), Version(), Version()
STEPS = frozenset({"kind"})


def tally() -> Tally:
    return Tally("signs", "r1", ONE, TWO)


def answered(offset: int, score: float = 0.5) -> Item:
    item = Item(record(offset))
    item.answers["kind"] = Answer("t", "signs", "1", [{"label": "a", "score": score}])
    return item


def failed(offset: int, stage="infer", step="kind") -> Item:
    item = Item(record(offset))
    item.rejection = Rejection(stage, step, "non-finite", "E", "NaN")
    return item


def even(one) -> bool:
    return one.offset % 2 == 0


def test_each_record_counts_for_the_version_that_answered_it():
    counted = tally()
    items = [answered(0, 0.5), answered(1, 0.9), failed(2), failed(3), answered(4, 0.7)]
    counted.settled(Chosen(ONE, TWO, even), STEPS, items)
    counts = counted.counts("host", "now")
    assert (counts.champion.records, counts.champion.errors) == (2, 1)
    assert (counts.candidate.records, counts.candidate.errors) == (3, 1)
    assert counts.candidate.scores == (2, pytest.approx(1.2), pytest.approx(0.74))
    assert (counts.daemon, counts.model, counts.rollout, counts.at) == (
        *("host", "signs", "r1"),
        "now",
    )


def test_what_other_steps_and_senders_did_wrong_speaks_for_nobody():
    counted = tally()
    items = [failed(0, "decode", None), failed(1, "infer", "detect"), failed(2, "produce", None)]
    items += [Item(record(3), tombstone=True), Item(record(4), dropped=True)]
    counted.settled(Chosen(ONE, TWO, even), STEPS, items)
    counts = counted.counts("", "")
    assert counts.champion.records == counts.candidate.records == 0
    assert failed_in(failed(0, "encode", None).rejection, STEPS) is True
    assert failed_in(None, STEPS) is False


def test_waves_that_came_before_the_candidate_are_not_counted():
    counted = tally()
    counted.settled(Chosen(ONE), STEPS, [answered(0)])
    counted.settled(Chosen(ONE, OTHER, even), STEPS, [answered(0)])
    assert counted.counts("", "").champion.records == 0


def test_runs_count_for_their_version():
    counted = tally()
    given = [(ONE, 8, 0.08), (ONE, 15, 0.3), (TWO, 1, 0.5), (OTHER, 8, 9), (TWO, 0, 1.0)]
    for version, items, seconds in given:
        counted.ran(version, items, seconds)
    counts = counted.counts("", "")
    count, total, squares = counts.champion.times
    assert (count, total) == (2, pytest.approx(log(0.01) + log(0.02)))
    assert squares == pytest.approx(log(0.01) ** 2 + log(0.02) ** 2)
    assert counts.candidate.times == (1, log(0.5), log(0.5) ** 2)


def test_a_shadow_is_compared_record_by_record():
    counted = tally()

    def said(label: str, score: float):
        return {"kind": Answer("t", "", "", [{"label": label, "score": score}])}

    counted.shadowed(said("a", 0.9), said("a", 0.7))
    counted.shadowed(said("a", 0.9), said("b", 0.7))
    counted.shadowed(said("a", 0.9), None)
    counted.shadowed(None, said("a", 0.9))
    counted.shed(7)
    counts = counted.counts("", "")
    assert (counts.compared, counts.agreed, counts.shed) == (2, 1, 7)
    assert counts.shift == pytest.approx(-0.2)
    assert (counts.champion.errors, counts.candidate.errors) == (1, 1)
    assert counts.champion.records == counts.candidate.records == 4


@pytest.mark.parametrize(
    ("output", "score"),
    [
        ([{"label": "a", "score": 0.9}], 0.9),
        ({"score": 0.4}, 0.4),
        ([{"item": 0, "box": {}, "output": [{"label": "a", "score": 0.3}]}], 0.3),
        ([], None),
        ([{"generated_text": "a"}], None),
        ("text", None),
        ([0.1], None),
    ],
)
def test_the_best_score_of_an_answer(output, score):
    assert best_score(output) == score


def test_a_wave_keeps_what_a_tally_needs_of_it():
    """`Chosen.of` decides by the record alone, so it decides alike before and after the answer."""
    item = answered(2)
    wave = Wave(0, {at(0): Slice(1, 3, (item,))}, 0, 0.0)
    assert Chosen(ONE, TWO, even).of(wave.items[0]) is TWO

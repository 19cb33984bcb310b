"""The gate: what is truly better passes, chance does not."""

import numpy as np
import pytest

from streamer.retraining.config import Gate
from streamer.retraining.gate import Compared, judge, spent

GATE = Gate(min_gain=0.01)


def compared(
    rng, count: int, champion: float, challenger: float, agree: float = 0.8, *, size: int = 1
) -> Compared:
    """Answers of two versions that are right so often; `size` records share a cluster."""
    truths = [f"c{at % 4}" for at in range(count)]
    lots = rng.random(count)
    other = np.where(rng.random(count) < agree, lots, rng.random(count))
    first = [t if lot < champion else "wrong" for t, lot in zip(truths, lots, strict=True)]
    second = [t if lot < challenger else "wrong" for t, lot in zip(truths, other, strict=True)]
    clusters = [str(at // size) for at in range(count)]
    known = frozenset(f"c{at}" for at in range(4))
    chances = np.full(count, 0.5)
    return Compared(truths, first, second, chances, chances, clusters, known)


def test_what_is_much_better_is_promoted_and_what_is_worse_is_rejected():
    rng = np.random.default_rng(0)
    better = judge(compared(rng, 600, 0.7, 0.9), GATE, 1)
    assert better.decision == "promote", better
    assert better.figures["interval"][0] > 0.1
    worse = judge(compared(rng, 600, 0.9, 0.7), GATE, 1)
    assert worse.decision == "reject"
    assert any("falls from" in reason for reason in worse.reasons)


def test_too_few_labels_are_inconclusive_and_the_report_says_what_could_have_been_found():
    rng = np.random.default_rng(0)
    few = judge(compared(rng, 20, 0.7, 0.9), GATE, 1)
    assert few.decision == "inconclusive"
    assert "20" in few.reasons[0]
    unclear = judge(compared(np.random.default_rng(7), 80, 0.8, 0.8, agree=0.6), GATE, 1)
    assert unclear.decision == "inconclusive"
    assert "four times in five" in unclear.reasons[0]


def test_of_500_series_of_retrainings_without_a_true_difference_at_most_5_percent_promote():
    rng = np.random.default_rng(1)
    promoted = 0
    for _ in range(500):
        count = int(rng.choice([100, 250, 400]))
        champion = rng.random(count) < 0.8
        truths = [f"c{at % 4}" for at in range(count)]
        chances = np.full(count, 0.5)
        known = frozenset(truths)
        first = [t if good else "wrong" for t, good in zip(truths, champion, strict=True)]
        for look in range(1, 11):  # ten challengers against one held-out set
            redrawn = rng.random(count) < 0.3
            good = np.where(redrawn, rng.random(count) < 0.8, champion)
            second = [t if g else "wrong" for t, g in zip(truths, good, strict=True)]
            clusters = [str(at) for at in range(count)]
            given = Compared(truths, first, second, chances, chances, clusters, known)
            if judge(given, GATE, look).decision == "promote":
                promoted += 1
                break
    assert promoted <= 25, promoted


def test_all_looks_together_spend_no_more_than_alpha():
    assert sum(spent(0.05, look) for look in range(1, 2000)) <= 0.05
    assert spent(0.05, 1) > spent(0.05, 2) > spent(0.05, 20) > 0


def test_chances_that_are_better_by_far_where_it_matters_pass_although_most_fall_a_little():
    """As after calibration: right answers a little less certain, wrong ones much less."""
    count, rng = 400, np.random.default_rng(3)
    right = rng.random(count) < 0.8
    truths = [f"c{at % 4}" for at in range(count)]
    answers = [t if good else "wrong" for t, good in zip(truths, right, strict=True)]
    before = np.where(right, 0.99, 0.001)
    after = np.where(right, 0.95, 0.1) + rng.uniform(0, 0.01, count)
    clusters = [str(at) for at in range(count)]
    given = Compared(truths, answers, answers, before, after, clusters, frozenset(truths))
    better = judge(given, Gate(metric="nll", min_gain=0.01), 1)
    assert better.decision == "promote", better
    swapped = Compared(truths, answers, answers, after, before, clusters, frozenset(truths))
    assert judge(swapped, Gate(metric="nll", min_gain=0.01), 1).decision == "reject"


def test_records_of_one_group_count_as_one_piece_of_evidence():
    rng = np.random.default_rng(5)
    alone = compared(rng, 120, 0.5, 0.62, agree=0.95)
    grouped = Compared(
        alone.truths,
        alone.champion,
        alone.challenger,
        alone.champion_p,
        alone.challenger_p,
        ["one" if at < 110 else str(at) for at in range(120)],
        alone.known,
    )
    assert judge(alone, GATE, 1).decision == "promote"
    assert judge(grouped, GATE, 1).decision != "promote"


def test_a_class_that_is_lost_is_not_made_up_for_by_the_others():
    rng = np.random.default_rng(2)
    given = compared(rng, 800, 0.6, 0.95)
    challenger = [
        "c1" if truth == "c0" else answer
        for truth, answer in zip(given.truths, given.challenger, strict=True)
    ]
    lost = Compared(
        given.truths,
        given.champion,
        challenger,
        given.champion_p,
        given.challenger_p,
        given.clusters,
        given.known,
    )
    verdict = judge(lost, GATE, 1)
    assert verdict.decision == "reject"
    assert any("'c0' falls" in reason for reason in verdict.reasons)


def test_new_classes_do_not_hide_that_old_ones_are_forgotten():
    rng = np.random.default_rng(3)
    given = compared(rng, 800, 0.9, 0.9, agree=1.0)
    known = frozenset({"c0", "c1"})
    champion = [
        a if t in known else "c0" for t, a in zip(given.truths, given.champion, strict=True)
    ]
    challenger = ["c2" if t in known and at % 5 == 0 else t for at, t in enumerate(given.truths)]
    verdict = judge(
        Compared(
            given.truths,
            champion,
            challenger,
            given.champion_p,
            given.challenger_p,
            given.clusters,
            known,
        ),
        GATE,
        1,
    )
    assert verdict.figures["gain"] > 0.3
    assert verdict.decision == "reject"
    assert any("known before fall" in reason for reason in verdict.reasons)


def test_without_a_gain_asked_for_it_is_enough_not_to_be_worse():
    rng = np.random.default_rng(4)
    same = compared(rng, 2000, 0.9, 0.9, agree=1.0)
    assert judge(same, GATE, 1).decision != "promote"
    assert judge(same, Gate(min_gain=0, margin=0.01), 1).decision == "promote"


@pytest.mark.parametrize("problems", [["takes twice as long"], ["must pass: line 1"]])
def test_other_problems_reject_whatever_the_figures_say(problems):
    rng = np.random.default_rng(0)
    verdict = judge(compared(rng, 600, 0.7, 0.9), GATE, 1).unless(problems)
    assert verdict.decision == "reject"
    assert verdict.reasons[0] == problems[0]

"""When is learnt anew."""

import numpy as np
import pytest

from streamer.labels import Figures
from streamer.retraining.config import Trigger
from streamer.retraining.runs import Run
from streamer.retraining.triggers import drifted, dropped, due

LAST = Run(1, "done", "test", "1", 1, "d", 100, "2025-01-01T00:00:00+00:00")
BEGAN = 1735689600.0


def asked(trigger: Trigger, taken: int, later: float = 0.0, last: Run | None = LAST):
    return due(
        trigger,
        taken=taken,
        last=last,
        now_s=BEGAN + later,
        began_s=BEGAN,
        drop=lambda: "it dropped",
        drift=lambda: "it drifted",
    )


@pytest.mark.parametrize(
    ("trigger", "taken", "later", "why"),
    [
        (Trigger(labels=50), 149, 0, None),
        (Trigger(labels=50), 150, 0, "50 new labels"),
        (Trigger(every=60.0), 101, 59, None),
        (Trigger(every=60.0), 101, 61, "61 s since the last run, and 1 new labels"),
        (Trigger(every=60.0), 100, 61, None),
        (Trigger(accuracy_drop=True), 150, 0, "it dropped"),
        (Trigger(accuracy_drop=True, drift=True), 149, 0, None),
        (Trigger(drift=True), 150, 0, "it drifted"),
        (Trigger(), 10_000, 1e9, None),
    ],
)
def test_a_run_is_due_for_labels_time_a_drop_or_drift_and_only_if_there_is_something_new(
    trigger, taken, later, why
):
    assert asked(trigger, taken, later) == why


def test_the_first_run_counts_from_the_beginning():
    assert asked(Trigger(labels=100), 100, last=None) == "100 new labels"


def cohorts(*right: int, of: int = 200):
    return {
        ("kind", "m", "1", at): Figures(of, of, hits, of, of, hits) for at, hits in enumerate(right)
    }


def test_the_newest_answers_are_never_compared_as_if_they_were_the_old_ones():
    """However many labels an hour has: what is small enough to fit was once put to the old half."""
    sizes, hits = (400, 700, 50, 50), (360, 630, 5, 5)
    uneven = {
        ("kind", "m", "1", at): Figures(size, size, hit, size, size, hit)
        for at, (size, hit) in enumerate(zip(sizes, hits, strict=True))
    }
    told = dropped(uneven, "m", "1")
    assert told is not None
    assert "from 90.0% to 80.0%" in told


def test_a_drop_of_live_accuracy_is_told_when_it_is_certain():
    told = dropped(cohorts(180, 181, 120, 118), "m", "1")
    assert told is not None
    assert told.startswith("live accuracy of version 1 fell from 90.2% to 59.5%")
    assert dropped(cohorts(180, 181, 176, 175), "m", "1") is None
    assert dropped(cohorts(120, 118, 180, 181), "m", "1") is None
    assert dropped(cohorts(9, 3, of=10), "m", "1") is None
    assert dropped(cohorts(180, 181, 120, 118), "m", "2") is None


def test_without_a_drop_few_of_many_that_are_looked_at_again_and_again_are_told():
    rng = np.random.default_rng(0)
    told = 0
    for _ in range(200):
        hits = rng.binomial(50, 0.9, 20)
        told += any(
            dropped(cohorts(*hits[:upto].tolist(), of=50), "m", "1") for upto in range(2, 21)
        )
    assert told <= 10


def test_drift_is_told_of_features_that_moved_and_not_of_those_that_stayed():
    rng = np.random.default_rng(0)
    before = rng.normal(size=(400, 20)).astype(np.float32) * np.linspace(3, 1, 20)
    same = rng.normal(size=(200, 20)).astype(np.float32) * np.linspace(3, 1, 20)
    moved = same + np.array([3.0] + [0.0] * 19)
    assert drifted(before, same) is None
    assert "inputs have drifted" in drifted(before, moved)
    assert drifted(before[:10], moved) is None


def test_a_small_shift_of_many_features_is_drift_though_no_main_direction_shows_it():
    rng = np.random.default_rng(0)
    loud = np.array([9.0] * 20 + [1.0] * 80)
    before = (rng.normal(size=(300, 100)) * loud).astype(np.float32)
    after = (rng.normal(size=(200, 100)) * loud + 0.35 * (loud == 1)).astype(np.float32)
    told = drifted(before, after)
    assert told is not None
    assert "the difference of means" in told


def test_without_drift_one_look_in_a_thousand_tells_of_some():
    rng = np.random.default_rng(1)
    told = [
        drifted(
            rng.normal(size=(150, 30)).astype(np.float32),
            rng.normal(size=(80, 30)).astype(np.float32),
        )
        for _ in range(150)
    ]
    assert sum(one is not None for one in told) <= 1

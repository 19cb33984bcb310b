"""Figures of records whose means are the metrics that everybody knows."""

import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from streamer.labels import Answer
from streamer.retraining.config import Gate
from streamer.retraining.gate import judge
from streamer.retraining.grading import graded, off_by, passes, wholly_right
from streamer.retraining.marks import Marks, correlation_figures, f1_figures
from streamer.retraining.precision import Precision


def test_the_mean_of_the_figures_is_spearmans_correlation_ties_included():
    rng = np.random.default_rng(0)
    right = rng.integers(0, 6, 200) / 5
    given = right + rng.normal(scale=0.3, size=200).round(1)
    figures = correlation_figures(given, right)
    assert figures.mean() == pytest.approx(spearmanr(given, right).statistic, abs=1e-9)


def test_the_mean_of_the_figures_is_f1():
    hits, given, right = (
        np.array([1, 2, 0, 0.0]),
        np.array([1, 3, 1, 0.0]),
        np.array([2, 2, 0, 0.0]),
    )
    precision, recall = 3 / 5, 3 / 4
    expected = 2 * precision * recall / (precision + recall)
    assert f1_figures(hits, given, right).mean() == pytest.approx(expected)


def box(left, score=None, label="a"):
    entry = {"label": label, "box": [left, 0, left + 10, 10]}
    return entry if score is None else {**entry, "score": score}


def test_average_precision_is_the_area_under_the_precision_envelope():
    right = [[box(0), box(50)], [box(0)], [box(0, label="b")]]
    first = [[box(1, 0.9), box(30, 0.8)], [box(0, 0.7)], [box(0, 0.6, "b")]]
    # of "a": hit, miss, hit of three: 1/3 + 2/3 / 3; of "b": all
    marks = graded(
        "boxes", right, (first, right_with_scores(right)), ["1", "2", "3"], frozenset("ab")
    )
    assert marks.champion.mean() == pytest.approx(((1 + 2 / 3) / 3 + 1) / 2)
    assert marks.challenger.mean() == pytest.approx(1.0)
    assert marks.classes["a"].champion.mean() == pytest.approx((1 + 2 / 3) / 3)


def right_with_scores(right):
    return [[{**one, "score": 0.5} for one in answer] for answer in right]


def test_records_with_labels_that_are_new_are_told_from_the_old_ones():
    right = [["a"], ["a", "c"], []]
    marks = graded("labels", right, (right, right), ["1", "2", "3"], frozenset({"a", "b"}))
    assert marks.old.tolist() == [True, False, True]
    spans = [
        [{"entity_group": "PER", "start": 0, "end": 2}],
        [{"label": "ORG", "start": 0, "end": 2}],
    ]
    marks = graded(
        "entities", spans, (spans, spans), ["1", "2"], frozenset({"O", "B-PER", "I-PER"})
    )
    assert marks.old.tolist() == [True, False]


def test_answers_pass_where_they_are_as_good_as_asked_for():
    assert passes("score", {"score": 0.75}, 0.6)
    assert not passes("score", {"score": 0.9}, 0.6)
    assert passes("boxes", [box(1, 0.9), box(80, 0.9)], [box(0)])
    assert not passes("boxes", [box(1, 0.9, "b")], [box(0)])
    assert off_by("labels", [{"label": "a", "score": 0.9}], ["a", "b"]) == pytest.approx(1 / 3)
    assert off_by("score", None, 0.5) == 1.0


def test_a_better_order_of_similarities_is_promoted_and_the_same_one_is_not():
    rng = np.random.default_rng(0)
    right = rng.random(400)
    answers = [
        [{"score": float(one)} for one in right + rng.normal(scale=s, size=400)] for s in (0.5, 0.2)
    ]
    clusters = [str(at) for at in range(400)]
    better = judge(graded("score", right, tuple(answers), clusters, frozenset()), Gate(), 1)
    assert better.decision == "promote", better
    same = judge(graded("score", right, (answers[0],) * 2, clusters, frozenset()), Gate(), 1)
    assert same.decision != "promote"


@pytest.mark.long
def test_of_500_retrainings_of_a_similarity_without_a_true_difference_at_most_5_percent_promote():
    rng = np.random.default_rng(3)
    promoted = 0
    for _ in range(500):
        count = int(rng.choice([60, 150, 300]))
        right = rng.random(count)
        both = [right + rng.normal(scale=0.4, size=count) for _ in "12"]
        figures = [correlation_figures(one, right) for one in both]
        clusters = [str(at) for at in range(count)]
        old = np.ones(count, bool)
        gains = figures[1] - figures[0]
        marks = Marks("spearman", gains, *figures, False, clusters, old, {})  # noqa: FBT003
        promoted += judge(marks, Gate(), 1).decision == "promote"
    assert promoted <= 25, promoted


def of_entities(rng, count):
    right = rng.integers(1, 5, count)
    found = [rng.binomial(right, 0.7).astype(float) for _ in "12"]
    return [f1_figures(hits, hits + rng.poisson(0.4, count), right * 1.0) for hits in found]


def of_boxes(rng, count):
    right = [[box(100 * at) for at in range(rng.integers(1, 4))] for _ in range(count)]

    def answered(there):
        found = [box(100 * at + 1, rng.random()) for at in range(len(there)) if rng.random() < 0.7]
        false = [box(1000 + 100 * at, 0.8 * rng.random()) for at in range(rng.poisson(0.5))]
        return [*found, *false]

    return [Precision([answered(one) for one in right], right, ("a",)).mean for _ in "12"]


@pytest.mark.long
@pytest.mark.parametrize("figures_of", [of_entities, of_boxes])
def test_of_500_retrainings_of_entities_and_of_boxes_without_a_true_difference_either(figures_of):
    rng = np.random.default_rng(4)
    promoted = 0
    for _ in range(500):
        count = int(rng.choice([60, 120, 200]))
        figures = figures_of(rng, count)
        clusters = [str(at) for at in range(count)]
        gains = figures[1] - figures[0]
        old = np.ones(count, bool)
        marks = Marks("any", gains, *figures, False, clusters, old, {})  # noqa: FBT003
        promoted += judge(marks, Gate(), 1).decision == "promote"
    assert promoted <= 25, promoted


@pytest.mark.parametrize(
    ("form", "given", "right", "wrong"),
    [
        ("label", "a", "a", "b"),
        ("labels", "a", ["b", "a"], ["b"]),
        ("score", {"score": 0.7}, 0.6, 0.3),
        ("boxes", [box(0, 0.9)], [box(1)], [box(1), box(50)]),
        ("boxes", [box(0, 0.9), box(50, 0.8)], [box(0), box(50)], [box(0)]),
        ("boxes", [], [], [box(0)]),
        (
            "entities",
            [{"entity_group": "PER", "start": 0, "end": 3, "score": 0.9, "word": "Ada"}],
            [{"entity_group": "PER", "start": 0, "end": 3}],
            [{"entity_group": "PER", "start": 0, "end": 4}],
        ),
    ],
)
def test_an_answer_in_the_stream_is_right_where_all_of_it_is_and_nothing_is_too_much(
    form, given, right, wrong
):
    named = given if isinstance(given, str) else None
    answer = Answer("m", "1", named, None, 0, given=json.dumps(given).encode())
    assert wholly_right(form)(answer, right)
    assert not wholly_right(form)(answer, wrong)

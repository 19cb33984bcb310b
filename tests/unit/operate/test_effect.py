import pytest

from streamer.errors import RecordError
from streamer.operate.effect import effect_of


def labels(**scores):
    ordered = sorted(scores, key=lambda name: -scores[name])
    return [{"label": name, "score": scores[name]} for name in ordered]


def effect(before, after, truth):
    return effect_of(before, after, truth, "dynamic", (100, 25), (2.0, 1.0))


def test_labels_that_change_are_counted_and_scores_compared_by_label():
    told = effect(
        [labels(a=0.9, b=0.1), labels(a=0.6, b=0.4)],
        [labels(a=0.8, b=0.2), labels(a=0.45, b=0.55)],
        ["a", "a"],
    )
    assert told.changed == 0.5
    assert told.most == pytest.approx(0.15)
    assert (told.accuracy, told.accuracy_after) == (1.0, 0.5)
    assert (told.size_ratio, told.speed) == (0.25, 2.0)


def test_scores_are_ranked_against_labels_that_are_numbers():
    before = [{"score": score} for score in (0.1, 0.5, 0.9)]
    after = [{"score": score} for score in (0.5, 0.1, 0.9)]
    told = effect(before, after, [1.0, 2.0, 5.0])
    assert told.correlation == pytest.approx(1.0)
    assert told.correlation_after == pytest.approx(0.5)
    assert told.accuracy is None


def test_records_that_either_could_not_answer_do_not_count():
    told = effect([[0.1], RecordError("no", reason="x")], [[0.3], [0.2]], [None, None])
    assert told.records == 1
    assert told.difference == pytest.approx(0.2)
    assert any("no record has a label" in line for line in told.told())

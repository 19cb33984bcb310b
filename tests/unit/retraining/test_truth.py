"""What labels may say."""

import pytest

from streamer.retraining.truth import check_answer

BOX = {"xmin": 1, "ymin": 2, "xmax": 5, "ymax": 7}


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("label", "refund"),
        ("label", ["refund", "late"]),
        ("score", 0.5),
        ("boxes", []),
        ("boxes", [{"label": "stop", "box": BOX}, {"label": "stop", "box": [1, 2, 5, 7]}]),
        ("entities", [{"entity_group": "PER", "start": 0, "end": 4}]),
    ],
)
def test_what_can_be_learnt_from_is_taken(kind, answer):
    check_answer(kind, answer)


@pytest.mark.parametrize(
    ("kind", "answer", "told"),
    [
        ("score", float("inf"), "no number"),
        ("boxes", [{"label": "stop"}], "no box with xmin"),
        ("boxes", [{"label": "stop", "box": [1, 2, 5]}], "not enough values"),
        ("boxes", [{"label": "stop", "box": {**BOX, "xmax": "wide"}}], "wide"),
        ("boxes", [{"label": "stop", "box": {**BOX, "xmax": 1}}], "without an area"),
        ("boxes", [{"label": "stop", "box": [0, 0, float("inf"), 1]}], "without an area"),
        ("boxes", [{"box": BOX}], "without a label"),
        ("entities", [{"entity_group": "PER", "start": 4, "end": 4}], "start and end"),
        ("entities", [{"entity_group": "PER", "word": "Ada"}], "start and end"),
        ("entities", [{"start": 0, "end": 4}], "without a label"),
    ],
)
def test_what_nothing_can_be_learnt_from_is_refused_with_what_was_seen(kind, answer, told):
    with pytest.raises(ValueError, match=told):
        check_answer(kind, answer)

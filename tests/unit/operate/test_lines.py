import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.operate.lines import as_object, error_in, prediction_in, readable, written
from streamer.records import Record

PREDICTION: dict[str, Any] = {
    "source": {"topic": "street.photos", "partition": 3, "offset": 1042, "timestamp": 1},
    "topology": "street",
    "predictions": {
        "detect": {
            "task": "object-detection",
            "output": [
                {
                    "label": "stop",
                    "score": 0.93456,
                    "box": {"xmin": 12, "ymin": 30, "xmax": 88, "ymax": 104},
                }
            ],
        },
        "kind": {
            "output": [{"item": 0, "box": {}, "output": [{"label": "yield", "score": 0.5}]}],
        },
    },
}


def record(value: bytes | None, key: bytes | None = None, headers=()) -> Record:
    return Record("out", 1, 7, 1763712000000, key, value, headers)


def test_a_timestamp_that_no_calendar_has_is_shown_as_it_is():
    one = msgspec.structs.replace(record(b"a"), timestamp=1_763_712_000_000_000)
    assert readable(one).plain.startswith("1763712000000000 ")


def test_a_prediction_is_a_line_with_source_labels_scores_and_boxes():
    line = readable(record(json.dumps(PREDICTION).encode(), b"car-7")).plain
    assert line.split(" ", 1)[1] == (
        "1/7 street.photos 3/1042 car-7 detect: stop 0.935 [12,30 88,104]  kind: #0 yield 0.5"
    )


def test_a_dead_letter_is_a_line_with_stage_reason_and_message():
    told = {"stage": "decode", "step": "", "reason": "not-an-image", "message": "14 bytes, %PDF"}
    told |= {"topic": "street.photos", "partition": "0", "offset": "9"}
    headers = tuple((f"streamer.error.{name}", text.encode()) for name, text in told.items())
    letter = record(b"%PDF", None, headers)
    assert error_in(letter) == told
    assert readable(letter).plain.endswith(
        "1/7 street.photos 0/9 decode: not-an-image: 14 bytes, %PDF"
    )
    assert as_object(letter)["error"]["reason"] == "not-an-image"


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ([], "nothing"),
        ([{"label": "refund", "score": 1.0}], "refund 1"),
        ({"score": 0.8731}, "0.873"),
        ([{"label": str(n), "score": 0.5} for n in range(8)], "3 more"),
        ([{"generated_text": "a"}], "a"),
        ([{"entity_group": "PER", "score": 0.9, "word": "Anna", "start": 0}], "PER Anna 0.9"),
        ({"labels": ["a"], "scores": [0.5]}, '{"labels": ["a"], "scores": [0.5]}'),
    ],
)
def test_outputs_are_told_in_a_few_words(output, text):
    assert written(output).endswith(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "(null)"),
        (b"just text", "just text"),
        (b"\xff\xd8\xff", "(3 bytes)"),
        ("ä".encode() * 1000, "ä…"),
        (b"a" * 639 + "ä".encode(), "a…"),
    ],
)
def test_other_records_are_shown_as_far_as_they_can_be(value, text):
    assert readable(record(value)).plain.endswith(text)


def test_nothing_in_a_record_reaches_the_terminal_as_a_control_sequence():
    bad = "\x1b[2J\x9b1m\r\n"
    prediction = json.loads(json.dumps(PREDICTION))
    prediction["predictions"] = {
        bad: {"output": [{"label": bad, "score": 1, "box": {"xmin": bad}}]}
    }
    headers = tuple(
        (f"streamer.error.{name}", bad.encode()) for name in ("stage", "reason", "topic")
    )
    for one in (
        record(json.dumps(prediction).encode(), bad.encode()),
        record(bad.encode(), bad.encode()),
        record(bad.encode(), None, headers),
    ):
        assert all(char.isprintable() for char in readable(one).plain)


@pytest.mark.parametrize(
    "wrong",
    [
        {"topic": "../../etc", "partition": 0, "offset": 0},
        {"topic": "a", "partition": "0/..", "offset": 0},
        {"topic": "a", "partition": 0, "offset": None},
        {"topic": "a", "partition": True, "offset": 0},
        [],
        None,
    ],
)
def test_a_prediction_without_a_proper_source_is_none(wrong):
    assert prediction_in(record(json.dumps({**PREDICTION, "source": wrong}).encode())) is None


def test_programs_get_everything():
    told = as_object(record(json.dumps(PREDICTION).encode(), b"\xff", (("a", None), ("b", b"x"))))
    assert told["value"] == PREDICTION
    assert told["key_base64"] == "/w=="
    assert told["headers"] == [["a", None], ["b", "x"]]
    assert (told["topic"], told["partition"], told["offset"]) == ("out", 1, 7)
    assert as_object(record(None))["value"] is None


@given(st.one_of(st.none(), st.binary()), st.one_of(st.none(), st.binary()))
def test_any_record_can_be_shown(value, key):
    assert readable(record(value, key)).plain
    json.dumps(as_object(record(value, key)))


def values():
    simple = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
    names = st.sampled_from(["label", "score", "box", "item", "output", "xmin"])
    return st.recursive(
        simple, lambda inner: st.one_of(st.lists(inner), st.dictionaries(names, inner))
    )


@given(values())
def test_any_output_can_be_told(output):
    assert isinstance(written(output), str)

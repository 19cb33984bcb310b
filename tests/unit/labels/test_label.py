"""What a record of a labels topic says."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import RecordError
from streamer.labels import Label, Place, Withdrawal, read_label, read_name
from streamer.records import Record

REF = {"topic": "photos", "partition": 1, "offset": 42}


def record(content, key=None, at=5) -> Record:
    value = content if isinstance(content, bytes) or content is None else json.dumps(content)
    value = value.encode() if isinstance(value, str) else value
    return Record("labels", 0, 9, at, key, value)


def test_a_label_of_the_only_step_names_its_record_step_and_crop():
    found = read_label(record({"ref": REF, "label": "stop"}), "kind")
    assert isinstance(found, Label)
    assert found.place == Place("photos", 1, 42, "kind")
    assert found.name == "photos/1/42/kind"
    crop = read_label(record({"ref": REF, "step": "kind", "item": 2, "label": "stop"}))
    assert isinstance(crop, Label)
    assert crop.name == "photos/1/42/kind/2"


def test_a_key_and_a_ref_name_the_same_example_whether_the_step_is_written_or_not():
    by_key = read_label(record({"ref": REF, "label": "stop"}, b"photos/1/42"), "kind")
    without = read_label(record({"ref": REF, "label": "yield"}), "kind")
    assert by_key.name == without.name == read_name(b"photos/1/42/kind", "kind")


def test_a_null_value_withdraws_what_its_key_names_and_so_does_the_mark():
    assert read_label(record(None, b"photos/1/42"), "kind") == Withdrawal("photos/1/42/kind", 5)
    marked = read_label(record({"ref": REF, "withdrawn": True}), "kind")
    assert marked == Withdrawal("photos/1/42/kind", 5)


def test_an_inline_example_stands_beside_its_label():
    found = read_label(record({"text": "where is it", "label": "parcel"}, b"mine-7"))
    assert (found.name, found.place, found.example) == ("mine-7", None, b"where is it")
    pair = read_label(record({"sentence1": "a", "sentence2": "b", "score": 0.5}, b"p"))
    assert json.loads(pair.example) == {"sentence1": "a", "sentence2": "b"}
    assert (pair.kind, pair.answer) == ("score", 0.5)


@pytest.mark.parametrize(
    ("content", "key", "reason"),
    [
        (b"\xff{", None, "invalid-json"),
        ([1], None, "wrong-type"),
        ({"label": "stop"}, None, "no-key"),
        (None, None, "no-key"),
        ({"label": "stop"}, b"k", "no-example"),
        ({"ref": REF}, None, "no-label"),
        ({"ref": REF, "label": ""}, None, "no-label"),
        ({"ref": REF, "label": "a", "score": 1.0}, None, "several-labels"),
        ({"ref": {**REF, "offset": -1}, "label": "a"}, None, "wrong-ref"),
        ({"ref": {"topic": "photos"}, "label": "a"}, None, "wrong-type"),
        ({"ref": REF, "label": "a", "propensity": 0}, None, "wrong-propensity"),
        ({"image": "%%", "label": "a"}, b"k", "wrong-type"),
        ({"text": "a", "image": "aa==", "label": "a"}, b"k", "no-example"),
    ],
)
def test_what_is_no_label_is_refused_with_one_word(content, key, reason):
    with pytest.raises(RecordError) as refused:
        read_label(record(content, key), "kind")
    assert refused.value.reason == reason


def test_where_several_steps_answer_a_label_must_say_which():
    with pytest.raises(RecordError) as refused:
        read_label(record({"ref": REF, "label": "a"}))
    assert refused.value.reason == "no-step"


@given(st.binary(max_size=200), st.none() | st.binary(max_size=40))
def test_any_bytes_are_a_label_or_are_refused(value, key):
    try:
        found = read_label(record(value, key), "kind")
    except RecordError:
        return
    assert found.name

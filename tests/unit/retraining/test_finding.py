"""From a label to its example: the record that it speaks of, or the crop, or nothing."""

import json

import cv2
import numpy as np
import pytest

from streamer.config.topology import Source
from streamer.errors import DecodeError
from streamer.labels import Answer, Label, Place
from streamer.records import Pair, Record
from streamer.retraining.finding import Finder, MissingError, read_sample

RECORD = Record(
    "in", 1, 7, 1000, b"a-key", b"hello there", (("customer", b"4711"), ("empty", None))
)


def label(place=None, *, reason=None, example=None, timestamp=None) -> Label:
    return Label("name", place, timestamp, "label", "a", example, reason, None, 0)


def finder(record=RECORD, *, kind="text", form="text", group="key", answer=None) -> Finder:
    source = Source(topics=("in",), format=form)
    return Finder(source, kind, group, lambda _: record, lambda _: answer)


def answered(**more) -> Answer:
    return Answer("m", "3", "b", 0.4, 1000, **more)


def test_a_record_is_found_with_what_was_answered_to_it():
    at = Place("in", 1, 7, "kind")
    found = finder(answer=answered(random=True)).find(label(at, reason="random"))
    assert (found.value, found.recorded_at, found.group) == (b"hello there", 1000, b"a-key".hex())
    assert (found.model, found.version, found.answered, found.random) == ("m", "3", "b", True)
    # Who calls a label random does not make it so: the lot did not draw this record.
    assert not finder(answer=answered()).find(label(at, reason="random")).random
    assert not finder(answer=answered(random=True)).find(label(at, reason="complaint")).random


def test_what_is_asked_for_is_the_record_with_its_timestamp_and_one_that_is_gone_is_missing():
    asked: list[dict[str, object]] = []
    one = finder()
    one.original = asked.append
    with pytest.raises(MissingError) as caught:
        one.find(label(Place("in", 1, 7, "kind"), timestamp=999))
    assert caught.value.reason == "label-ref-missing"
    assert asked == [{"topic": "in", "partition": 1, "offset": 7, "timestamp": 999}]
    with pytest.raises(DecodeError) as refused:
        finder().find(label(Place("elsewhere", 1, 7, "kind")))
    assert refused.value.reason == "wrong-topic"


def test_an_item_is_cut_out_of_its_picture_by_the_box_that_was_answered():
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[5:15, 10:30] = (0, 0, 255)
    record = Record("in", 0, 1, 0, None, cv2.imencode(".png", pixels)[1].tobytes())
    at = Place("in", 0, 1, "kind", 2)
    known = answered(box=(10, 5, 30, 15))
    found = finder(record, kind="image", form="image", answer=known).find(label(at))
    crop = read_sample("image", found.value)
    assert crop.size == (10, 20)
    assert (crop.pixels == (255, 0, 0)).all() or (crop.pixels == (0, 0, 255)).all()
    beyond = answered(box=(-5, 5, 90, 15))
    found = finder(record, kind="image", form="image", answer=beyond).find(label(at))
    assert read_sample("image", found.value).size == (10, 40)
    for unknown in (None, answered()):
        with pytest.raises(MissingError) as caught:
            finder(record, kind="image", form="image", answer=unknown).find(label(at))
        assert caught.value.reason == "label-answer-missing"
    with pytest.raises(DecodeError) as refused:
        finder(answer=known).find(label(at))
    assert refused.value.reason == "wrong-item"


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("key", b"a-key".hex()),
        ("header:customer", b"4711".hex()),
        ("header:empty", None),
        ("header:nobody", None),
        ("none", None),
        ("/customer/id", None),  # the value is no JSON
    ],
)
def test_records_are_grouped_as_the_file_says(group, expected):
    assert finder(group=group).find(label(Place("in", 1, 7, "kind"))).group == expected


def test_a_pair_out_of_fields_is_kept_as_its_two_sentences_and_grouped_by_a_field():
    value = json.dumps({"sentence1": "one", "sentence2": "other", "customer": {"id": "9"}}).encode()
    record = Record("in", 0, 1, 0, None, value)
    one = finder(record, kind="pair", form="json", group="/customer/id")
    found = one.find(label(Place("in", 0, 1, "kind")))
    assert read_sample("pair", found.value) == Pair("one", "other")
    assert json.loads(found.value) == {"sentence1": "one", "sentence2": "other"}
    assert found.group is not None


def test_an_inline_example_is_taken_as_it_stands_there():
    found = finder().find(label(example=b"beside the label"))
    assert (found.value, found.group, found.random) == (b"beside the label", None, False)
    with pytest.raises(DecodeError):
        finder(kind="image", form="image").find(label(example=b"no picture"))

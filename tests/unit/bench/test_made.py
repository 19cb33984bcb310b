import json

import cv2
import numpy as np
import pytest

from streamer.bench.made import made_up, repeated
from streamer.config.topology import Fields, Source


def source(form, **fields):
    return Source(topics=("in",), format=form, fields=Fields(**fields))


def test_texts_have_mixed_lengths_and_are_the_same_each_time():
    texts = made_up("text", source("text"))
    lengths = {len(text.split()) for text in texts}
    assert min(lengths) < 10
    assert max(lengths) > 60
    assert texts == made_up("text", source("text"))


def test_pictures_are_jpegs_of_mixed_sizes():
    sizes = {
        cv2.imdecode(np.frombuffer(value, np.uint8), cv2.IMREAD_COLOR).shape
        for value in made_up("image", source("image"))
    }
    assert len(sizes) > 1


@pytest.mark.parametrize(
    ("kind", "fields", "found"),
    [
        ("text", {"text": "body"}, ["body"]),
        ("pair", {}, ["sentence1", "sentence2"]),
        ("image", {"image": "photo"}, ["photo"]),
    ],
)
def test_objects_have_the_fields_that_the_source_reads(kind, fields, found):
    assert list(json.loads(made_up(kind, source("json", **fields))[0])) == found


def test_a_field_may_lie_deep_in_the_object():
    value = json.loads(made_up("text", source("json", text="/message/body"))[0])
    assert isinstance(value["message"]["body"], str)


def test_values_go_round_until_there_are_enough():
    assert repeated([b"a", b"b"], 5) == [b"a", b"b", b"a", b"b", b"a"]

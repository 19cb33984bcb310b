import json
import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.items import answered, at, record, topology, wave

from streamer.encode import Encoder, dead_letter, smaller, without_value
from streamer.records import Answer, Item, Rejection

BYTES = st.none() | st.binary(max_size=20)
HEADERS = st.lists(st.tuples(st.text(max_size=8), BYTES), max_size=5).map(tuple)
REJECTION = Rejection("decode", None, "not-utf8", "DecodeError", "no UTF-8: byte 0xff at 3", 2)
NAMES = [
    "stage",
    "step",
    "reason",
    "class",
    "message",
    "topology",
    "topic",
    "partition",
    "offset",
    "timestamp",
    "attempts",
]


@pytest.fixture
def encoder():
    return Encoder(topology())


def encoded(encoder, item):
    encoder.encode(item)
    return item.output


def test_a_prediction_is_what_the_documentation_shows(encoder):
    page = (Path(__file__).parents[3] / "docs/delivery.md").read_text(encoding="utf-8")
    shown = json.loads(re.search(r"```json\n(.*?)```", page, re.DOTALL)[1])
    [(step, answer)] = shown["predictions"].items()
    item = Item(record(42, 0, timestamp=shown["source"]["timestamp"]))
    item.answers[step] = Answer(**answer)
    written = json.loads(encoded(encoder, item).value)
    source = {**shown["source"], "topic": "in"}
    assert written == {**shown, "source": source, "topology": "words"}


def test_an_event_of_a_record_with_an_odd_timestamp_has_no_time():
    item = answered(record(1, timestamp=1_763_712_000_000_000))  # microseconds
    made = Encoder(topology(sink={"topic": "out", "format": "cloudevents"}))
    names = [name for name, _ in encoded(made, item).headers]
    assert "ce_id" in names
    assert "ce_time" not in names


def test_a_prediction_says_what_it_is_of_and_who_made_it(encoder):
    item = Item(record(1042, 3, timestamp=1763712000000))
    item.answers["detect"] = Answer("object-detection", "signs", "3", [{"label": "stop"}])
    item.answers["kind"] = Answer(
        "image-classification",
        "sign-kind",
        "1",
        [{"item": 0, "box": {"xmin": 1}, "output": [{"label": "a", "score": 0.5}]}],
    )
    assert json.loads(encoded(encoder, item).value) == {
        "source": {"topic": "in", "partition": 3, "offset": 1042, "timestamp": 1763712000000},
        "topology": "words",
        "predictions": {
            "detect": {
                "task": "object-detection",
                "model": "signs",
                "version": "3",
                "output": [{"label": "stop"}],
            },
            "kind": {
                "task": "image-classification",
                "model": "sign-kind",
                "version": "1",
                "output": [
                    {"item": 0, "box": {"xmin": 1}, "output": [{"label": "a", "score": 0.5}]}
                ],
            },
        },
    }


@given(BYTES, HEADERS)
def test_key_and_headers_are_carried_and_the_topology_is_added(key, headers):
    item = answered(record(1, 2, key=key, headers=headers))
    output = encoded(Encoder(topology()), item)
    assert output.topic == "out"
    assert output.key == key
    assert output.headers == (*headers, ("streamer.topology", b"words"))
    assert output.source == at(2)


def test_the_topology_is_named_once_even_in_a_chain(encoder):
    headers = (("streamer.topology", b"before"), ("a", None), ("a", b"2"))
    output = encoded(encoder, answered(record(1, headers=headers)))
    assert output.headers == (("a", None), ("a", b"2"), ("streamer.topology", b"words"))


@pytest.mark.parametrize(
    ("rule", "given_ms", "written"),
    [("source", 17, 17), ("source", 0, 0), ("source", -1, None), ("now", 17, None)],
)
def test_a_predictions_timestamp_is_its_records_or_now(rule, given_ms, written):
    encoder = Encoder(topology(sink={"topic": "out", "timestamp": rule}))
    assert encoded(encoder, answered(record(1, timestamp=given_ms))).timestamp == written


@pytest.mark.parametrize("output", [{"score": object()}, {"score": np.ones(2)}, {"text": "\ud800"}])
def test_an_answer_that_json_cannot_say_is_a_dead_letter(encoder, output):
    item = Item(record(1))
    item.answers["predict"] = Answer("text-classification", "words", "1", output)
    letter = encoded(encoder, item)
    assert letter.topic == "letters"
    assert (item.rejection.stage, item.rejection.reason) == ("encode", "not-encodable")


def test_an_answer_that_refers_to_itself_is_a_dead_letter(encoder):
    item = Item(record(1))
    output: list = []
    output.append(output)
    item.answers["predict"] = Answer("text-classification", "words", "1", output)
    assert encoded(encoder, item).topic == "letters"


def test_a_tombstone_that_passes_is_a_null_value_with_its_key(encoder):
    output = encoded(encoder, Item(record(1, value=None, key=b"gone"), tombstone=True))
    assert (output.topic, output.key, output.value) == ("out", b"gone", None)


def test_what_is_dropped_leaves_nothing(encoder):
    assert encoded(encoder, Item(record(1, value=None), dropped=True)) is None


def test_waves_leave_without_what_the_stages_before_needed(encoder):
    one = wave({0: [1]})
    one.items[0].inputs["predict"] = []
    one.items[0].image = "pixels"
    assert list(encoder.encoded([one])) == [one]
    assert one.items[0].inputs == {}
    assert one.items[0].image is None
    assert one.items[0].output is not None


@given(BYTES, BYTES, HEADERS)
def test_a_dead_letter_has_the_record_byte_for_byte_and_says_why(key, value, headers):
    found = record(7, 2, key=key, value=value, headers=headers, timestamp=9)
    letter = dead_letter("letters", "words", found, REJECTION)
    assert (letter.topic, letter.key, letter.value) == ("letters", key, value)
    assert letter.headers[: len(headers)] == headers
    told = letter.headers[len(headers) :]
    assert [name for name, _ in told] == [f"streamer.error.{name}" for name in NAMES]
    assert [text for _, text in told] == [
        b"decode",
        b"",
        b"not-utf8",
        b"DecodeError",
        b"no UTF-8: byte 0xff at 3",
        b"words",
        b"in",
        b"2",
        b"7",
        b"9",
        b"2",
    ]
    assert letter.timestamp == 9
    assert letter.source == at(2)


@given(st.text(max_size=30))
def test_whatever_an_error_says_can_be_told(message):
    broken = replace(REJECTION, message=message + "\ud800" * 3 + "x" * 5000)
    letter = dead_letter("letters", "words", record(7, timestamp=-1), broken)
    assert len(dict(letter.headers)["streamer.error.message"]) <= 8000
    assert letter.timestamp is None


def test_a_value_that_is_left_out_is_told_by_size_and_digest():
    letter = dead_letter("letters", "words", record(7, value=b"large"), REJECTION)
    small = without_value(letter)
    headers = dict(small.headers)
    assert small.value == b""
    assert headers["streamer.error.truncated"] == b"true"
    assert headers["streamer.error.value-dropped"] == b"5"
    assert headers["streamer.error.value-sha256"] == sha256(b"large").hexdigest().encode()
    assert small.headers[: len(letter.headers)] == letter.headers
    assert small.key == letter.key


@pytest.mark.parametrize("too_large", [True, False])
def test_a_letter_that_is_refused_gets_smaller_until_nothing_is_left(too_large):
    # its record was a dead letter itself, made smaller once
    before = (("streamer.error.truncated", b"true"), ("streamer.error.offset", b"1"))
    letter = dead_letter("letters", "words", record(7, headers=before), REJECTION)
    steps = []
    while (next_one := smaller(letter, too_large=too_large)) is not None:
        letter = next_one
        steps.append((letter.timestamp is None, letter.value == b"", letter.key is None))
    assert steps == ([] if too_large else [(True, False, False)]) + [
        (not too_large, True, False),
        (True, True, True),
    ]
    headers = dict(letter.headers)
    assert headers["streamer.error.offset"] == b"7"
    assert headers["streamer.error.replaced"] == b"key,headers"
    assert all(name.startswith("streamer.error.") for name in headers)

"""From a record's value to its sample, and what it costs."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.config.topology import Source
from streamer.decode import Decoder
from streamer.errors import ConfigError, DecodeError
from streamer.records import Image, Pair, Text


def decoder(form: str, kind: str, **settings) -> Decoder:
    return Decoder(Source(topics=("photos",), format=form, **settings), kind)


def test_each_format_gives_its_sample(record, variants, viewed):
    value = variants["jpeg"]
    seen = decoder("image", "image").decode(record(value))
    assert np.array_equal(seen.pixels, viewed(value))
    assert decoder("text", "text").decode(record("grüß".encode())) == Text("grüß")
    said = json.dumps(
        {
            "text": "a",
            "sentence1": "b",
            "sentence2": "c",
            "image": base64.b64encode(value).decode(),
        }
    ).encode()
    assert decoder("json", "text").decode(record(said)) == Text("a")
    assert decoder("json", "pair").decode(record(said)) == Pair("b", "c")
    embedded = decoder("json", "image").decode(record(said))
    assert np.array_equal(embedded.pixels, seen.pixels)


def test_fields_are_found_where_the_source_says(record):
    value = b'{"ticket": {"body": "help", "lines": ["one", "two"]}}'
    texts = decoder("json", "text", fields={"text": "/ticket/body"})
    assert texts.decode(record(value)) == Text("help")
    fields = {"sentence1": "/ticket/lines/0", "sentence2": "/ticket/lines/1"}
    assert decoder("json", "pair", fields=fields).decode(record(value)) == Pair("one", "two")


def test_a_picture_is_fetched_where_the_record_says(record, variants, tmp_path):
    (tmp_path / "1.jpg").write_bytes(variants["jpeg"])
    (tmp_path / "empty").write_bytes(b"")
    reader = decoder("json", "image", fetch={"allow": (f"file://{tmp_path}",)})

    def asked(name: str):
        return record(json.dumps({"image_uri": f"file://{tmp_path}/{name}"}).encode())

    assert reader.decode(asked("1.jpg")).size == (32, 48)
    with pytest.raises(DecodeError) as caught:
        reader.decode(asked("empty"))
    assert caught.value.reason == "empty-value"
    with pytest.raises(DecodeError, match="not fetched") as caught:
        decoder("json", "image").decode(asked("1.jpg"))
    assert caught.value.reason == "uri-not-allowed"


@pytest.mark.parametrize(
    ("form", "kind", "value", "reason"),
    [
        ("image", "image", None, "null-value"),
        ("image", "image", b"", "empty-value"),
        ("image", "image", b"x" * 1001, "value-too-large"),
        ("image", "image", b"hello", "not-an-image"),
        ("text", "text", b"x" * 101, "text-too-long"),
        ("text", "text", b"\xff", "invalid-utf8"),
        ("json", "text", b'{"text": "' + b"x" * 101 + b'"}', "text-too-long"),
        ("json", "text", b'{"text": "\xff"}', "invalid-utf8"),
        ("json", "text", b'{"text": "\\ud800"}', "invalid-json"),
        ("json", "text", b'{"text": 5}', "wrong-type"),
        ("json", "text", b'{"text": ""}', "empty-value"),
        ("json", "text", b'{"text": null}', "missing-field"),
        ("json", "text", b'{"Text": "a"}', "missing-field"),
        ("json", "text", b'"a"', "wrong-type"),
        ("json", "text", b"{text}", "invalid-json"),
        ("json", "text", b'{"text": "a", "b": ' + b"[" * 9 + b"]" * 9 + b"}", "json-too-deep"),
        ("json", "pair", b'{"sentence1": "a"}', "missing-field"),
        ("json", "pair", b'{"sentence1": "a", "sentence2": ["b"]}', "wrong-type"),
        ("json", "image", b'{"text": "a"}', "missing-field"),
        ("json", "image", b'{"image": 5}', "wrong-type"),
        ("json", "image", b'{"image": "?"}', "invalid-base64"),
        ("json", "image", b'{"image": "aGVsbG8="}', "not-an-image"),
        ("json", "image", b'{"image_uri": "file:///etc/passwd"}', "uri-not-allowed"),
        ("json", "image", b'{"image_uri": {}}', "wrong-type"),
    ],
)
def test_each_bad_value_has_its_reason(form, kind, value, reason, record):
    limits = {"value": 1000, "text": 100, "json_depth": 8}
    reader = decoder(form, kind, limits=limits)
    with pytest.raises(DecodeError) as caught:
        reader.decode(record(value))
    assert caught.value.reason == reason
    assert reader.cost(record(value)) >= len(value or b"")


@pytest.mark.parametrize(
    ("form", "kind", "wanted"),
    [("image", "text", "text or json"), ("text", "pair", "json"), ("text", "image", "image or")],
)
def test_a_format_that_cannot_hold_the_kind_is_a_configuration_error(form, kind, wanted):
    with pytest.raises(ConfigError, match=f"source.format: .*write {wanted}"):
        decoder(form, kind)


def test_cost_is_never_below_what_is_decoded(variants, record):
    plain, embedded = decoder("image", "image"), decoder("json", "image")
    for name, value in variants.items():
        item = record(value)
        wanted = len(value) + plain.decode(item).pixels.nbytes
        assert plain.cost(item) >= wanted, name
        text = base64.b64encode(value).decode()
        for written in (text, "\\/".join(text.split("/")), f"data:image/x;base64,{text}"):
            said = record(f'{{"\\u0069mage": "{written}"}}'.encode())
            embedded.decode(said)
            assert embedded.cost(said) >= wanted + len(text) - len(value), name


def test_cost_of_what_is_too_large_to_decode_is_its_own_size(variants, record):
    item = record(variants["png"])
    small = decoder("image", "image", limits={"pixels": 100})
    assert small.cost(item) == item.size_bytes


def test_cost_of_what_is_to_be_fetched_is_the_most_it_may_be(record):
    item = record(b'{"image_uri": "https://host/1.jpg"}')
    settings = {"limits": {"pixels": 100}, "fetch": {"allow": ("https://host/",), "max_size": 50}}
    assert decoder("json", "image", **settings).cost(item) == item.size_bytes + 50 + 300
    assert decoder("json", "image").cost(item) == item.size_bytes


def test_several_threads_decode_as_one(variants, record):
    reader = decoder("image", "image")
    items = [record(value) for value in variants.values()] * 4
    alone = [reader.decode(item).pixels for item in items]
    with ThreadPoolExecutor(4) as pool:
        together = [sample.pixels for sample in pool.map(reader.decode, items)]
    assert all(map(np.array_equal, alone, together))


FORMS = [
    ("image", "image"),
    ("text", "text"),
    ("json", "text"),
    ("json", "pair"),
    ("json", "image"),
]
JSON_LIKE = st.dictionaries(
    st.sampled_from(["text", "image", "image_uri", "sentence1", "sentence2", "x"]),
    st.none() | st.integers() | st.text(max_size=20) | st.lists(st.booleans()),
).map(lambda value: json.dumps(value).encode())


@given(form=st.sampled_from(FORMS), value=st.binary(max_size=200) | JSON_LIKE)
def test_any_bytes_are_a_sample_or_a_decode_error(form, value, record, tried):
    reader = decoder(*form)
    item = record(value)
    assert reader.cost(item) >= len(value)
    outcome = tried(lambda: reader.decode(item))
    assert isinstance(outcome, Image | Text | Pair) or (outcome.reason and str(outcome))

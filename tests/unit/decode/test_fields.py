import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.decode.fields import FieldReader, depth_exceeds, pointer
from streamer.errors import DecodeError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text('ab"\\[]{},:ä', max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('a"\\[{/~', max_size=3), inner)
    ),
)


def depth_of(value) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


def reason_of(reader: FieldReader, value: bytes) -> str:
    with pytest.raises(DecodeError) as caught:
        reader.read(value)
    return caught.value.reason


@given(VALUES, st.booleans())
def test_depth_is_counted_as_the_parser_nests(value, ascii_only):
    written = json.dumps(value, ensure_ascii=ascii_only).encode()
    depth = depth_of(value)
    assert not depth_exceeds(written, depth)
    assert depth == 0 or depth_exceeds(written, depth - 1)


def test_depth_is_carried_over_long_values():
    brackets = b"[" + b"[]," * 2**20 + b'"[[[[",' + b"[[]]" + b"]"
    assert depth_exceeds(brackets, 2)
    assert not depth_exceeds(brackets, 3)


def test_deep_json_is_refused_before_it_is_built():
    value = b'{"text": ' + b"[" * 10**6 + b"]" * 10**6 + b"}"
    began = time.process_time()
    assert reason_of(FieldReader(["text"], 32), value) == "json-too-deep"
    assert time.process_time() - began < 0.5


def test_fields_that_nobody_asked_for_cost_next_to_nothing():
    value = b'{"text": "a", "rest": [' + b"[]," * 10**6 + b"1]}"
    began = time.process_time()
    assert FieldReader(["text"], 32).read(value) == {"text": b'"a"'}
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("field", "tokens"),
    [
        ("text", ("text",)),
        ("a/b", ("a/b",)),
        ("/a/b", ("a", "b")),
        ("/a~1b/~01", ("a/b", "~1")),
        ("/", ("",)),
    ],
)
def test_pointers_are_split_as_rfc_6901_says(field, tokens):
    assert pointer(field) == tokens


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("text", b'"top"'),
        ("/text", b'"top"'),
        ("/order/lines/1/note", b'"deep"'),
        ("/order/a~1b", b"5"),
        ("a.b", b'"dotted"'),
        ("/order/lines/7", None),
        ("/order/lines/-1", None),
        ("/text/0", None),
        ("gone", None),
        ("nothing", None),
        ("/\u00e4", b"[1]"),
    ],
)
def test_fields_are_found_by_name_or_pointer(field, found):
    value = json.dumps(
        {
            "text": "top",
            "order": {"lines": [{}, {"note": "deep"}], "a/b": 5},
            "a.b": "dotted",
            "nothing": None,
            "ä": [1],
        }
    ).encode()
    content = FieldReader([field, "text"], 32).read(value).get(field)
    assert (content if content is None else json.loads(content)) == (
        found if found is None else json.loads(found)
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"[]", "wrong-type"),
        (b'"text"', "wrong-type"),
        (b"null", "wrong-type"),
        (b"", "invalid-json"),
        (b"{", "invalid-json"),
        (b'{"text": "a"} {}', "invalid-json"),
        (b'{"text": NaN}', "invalid-json"),
        (b"\xff", "invalid-json"),
    ],
)
def test_what_is_no_object_says_why(value, reason):
    assert reason_of(FieldReader(["text"], 32), value) == reason


def test_the_last_of_doubled_keys_counts_and_a_byte_order_mark_does_not():
    read = FieldReader(["a"], 32).read
    assert read(b'\xef\xbb\xbf{"a": 1, "a": 2}') == {"a": b"2"}


@given(value=st.binary(max_size=60))
def test_any_bytes_give_fields_or_a_decode_error(value, tried):
    outcome = tried(lambda: FieldReader(["text", "/a/0"], 8).read(value))
    reasons = {"invalid-json", "wrong-type", "json-too-deep", "invalid-utf8"}
    assert isinstance(outcome, dict) or outcome.reason in reasons

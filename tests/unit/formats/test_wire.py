import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import DecodeError
from streamer.formats.wire import message_indexes, unwrapped, with_message_indexes, wrapped


def test_a_value_begins_with_zero_and_the_id_most_significant_byte_first():
    assert wrapped(0x01020304, b"rest") == b"\0\x01\x02\x03\x04rest"
    assert unwrapped(b"\0\x01\x02\x03\x04rest") == (0x01020304, b"rest")


@pytest.mark.parametrize("value", [b"", b"\0\0\0\0", b"\x01\0\0\0\x01rest", b'{"text": 1}'])
def test_what_begins_otherwise_has_no_schema(value):
    with pytest.raises(DecodeError) as raised:
        unwrapped(value)
    assert raised.value.reason == "no-schema-id"


@pytest.mark.parametrize(
    ("indexes", "written"),
    # As Confluent's documentation writes them: the first message is a lone 0; [1, 0] is the
    # count 2, then 1 and 0, each a zigzag varint.
    [([0], b"\x00"), ([1, 0], b"\x04\x02\x00"), ([2], b"\x02\x04"), ([100], b"\x02\xc8\x01")],
)
def test_the_place_of_a_message_is_written_as_documented(indexes, written):
    assert with_message_indexes(indexes, b"rest") == written + b"rest"
    assert message_indexes(written + b"rest") == (indexes, b"rest")


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=8), st.binary(max_size=20))
def test_a_place_that_is_written_is_read_again(indexes, rest):
    assert message_indexes(with_message_indexes(indexes, rest)) == (indexes, rest)


@given(st.binary(max_size=30))
def test_any_bytes_are_a_place_or_refused(content):
    try:
        indexes, _ = message_indexes(content)
    except DecodeError:
        return
    assert indexes

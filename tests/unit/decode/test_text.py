import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.decode.text import checked_text, decode_text
from streamer.errors import DecodeError


@given(st.text(min_size=1))
def test_encoding_then_decoding_is_identity(text):
    assert decode_text(text.encode("utf-8-sig"), 10**6) == text
    if not text.startswith("\ufeff"):
        assert decode_text(text.encode(), 10**6) == text


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "empty-value"),
        (b"\xef\xbb\xbf", "empty-value"),
        (b"abc\xff", "invalid-utf8"),
        (b"\xed\xa0\x80", "invalid-utf8"),
        (b"\xc0\xaf", "invalid-utf8"),
        (b"x" * 11, "text-too-long"),
        (("ä" * 6).encode(), "text-too-long"),
    ],
)
def test_what_is_no_text_says_why(value, reason):
    with pytest.raises(DecodeError) as caught:
        decode_text(value, 10)
    assert caught.value.reason == reason


def test_the_message_says_where_utf8_ends():
    with pytest.raises(DecodeError, match="byte 0xff at 3"):
        decode_text(b"abc\xffdef", 100)


def test_nul_is_a_character():
    assert decode_text(b"a\0b", 10) == "a\0b"


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "empty-value"), ("\ud800", "invalid-utf8"), ("ä" * 6, "text-too-long")],
)
def test_a_field_is_held_to_the_same_rules(text, reason):
    with pytest.raises(DecodeError, match="'comment'") as caught:
        checked_text(text, 10, "comment")
    assert caught.value.reason == reason

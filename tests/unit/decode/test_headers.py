"""Headers are read quickly and without trust."""

import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.decode.headers import header_of, is_whole, read_header
from streamer.errors import DecodeError

SIGNATURES = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    b"GIF89a",
    b"II*\0\x08\0\0\0",
    b"MM\0*\0\0\0\x08",
    b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0",
    b"BM",
    b"RIFF\0\0\0\0WEBPVP8 ",
    b"RIFF\0\0\0\0WEBPVP8L",
    b"RIFF\0\0\0\0WEBPVP8X",
)


@given(signature=st.sampled_from(SIGNATURES), rest=st.binary(max_size=200))
def test_any_bytes_behind_a_signature_give_a_header_or_a_decode_error(signature, rest, tried):
    value = signature + rest
    outcome = tried(lambda: read_header(value))
    if isinstance(outcome, DecodeError):
        assert outcome.reason.endswith("-image")
        return
    form, header = outcome
    assert header.pixels > 0
    whole = tried(lambda: is_whole(form, value, header))
    assert whole in {True, False} or whole.reason == "corrupt-image"


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (b"\xff\xd8\xff\xc3\x00\x0b\x08\0\x10\0\x10\x03", "lossless"),
        (b"\xff\xd8\xff\xc0\x00\x0b\x0c\0\x10\0\x10\x03", "12 bits"),
    ],
)
def test_rare_jpeg_is_unsupported(value, seen):
    with pytest.raises(DecodeError, match=seen) as caught:
        read_header(value)
    assert caught.value.reason == "unsupported-image"


@pytest.mark.parametrize(
    "value",
    [
        b"\xff\xd8" + b"\xff" * 10**6,
        b"\xff\xd8\xff" + b"\xff\xe0\0\2" * 250_000,
        b"\xff\xd8\xff\xe0\0\2" + b"\xff\x01" * 500_000,
        b"GIF89a" + struct.pack("<HHBBB", 9, 9, 0, 0, 0) + b"!\xfe" + b"\1a" * 500_000,
        b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 273, 4, 250_000_000, 0),
    ],
)
def test_hostile_headers_cost_little_time(value):
    began = time.process_time()
    assert header_of(value) is None
    assert time.process_time() - began < 0.1


def test_what_ends_within_its_header_is_truncated(variants):
    for name in ("jpeg", "png", "webp", "bmp", "gif", "tiff"):
        with pytest.raises(DecodeError, match="ends within its header") as caught:
            read_header(variants[name][:14])
        assert caught.value.reason == "truncated-image", name

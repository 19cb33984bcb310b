import base64
import json

import pytest

from streamer.decode.embedded import decode_base64, header_in_base64
from streamer.errors import DecodeError


@pytest.mark.parametrize("size", range(1, 8))
def test_base64_is_read_however_it_is_wrapped(size):
    content = bytes(range(250, 250 + min(size, 6))) + b"x" * size
    plain = base64.b64encode(content).decode()
    wrapped = "\r\n".join([plain[:4], plain[4:]])
    for text in (plain, wrapped, plain.rstrip("="), f"data:image/png;base64,{plain}"):
        assert decode_base64(text, "image") == content


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a", "invalid-base64"),
        ("ab!d", "invalid-base64"),
        ("äöü", "invalid-base64"),
        ("YQ==YQ==", "invalid-base64"),
        ("data:image/png,abcd", "invalid-base64"),
        ("data:image/png;base64", "invalid-base64"),
        ("", "empty-value"),
        ("data:;base64,", "empty-value"),
    ],
)
def test_what_is_no_base64_says_why(text, reason):
    with pytest.raises(DecodeError, match="'photo'") as caught:
        decode_base64(text, "photo")
    assert caught.value.reason == reason


def test_the_header_is_found_without_decoding_it_all(variants, picture, encode):
    values = {**variants, "padded": encode(picture, "JPEG", exif=b"Exif\0\0" + b"\xff" * 60_000)}
    for name, value in values.items():
        plain = base64.b64encode(value).decode()
        for text in (plain, f"data:image/jpeg;base64,{plain}", plain.replace("/", "\\/")):
            written = json.dumps(text).encode().replace(b"\\\\/", b"\\/")
            header = header_in_base64(written)
            assert header is not None, name
            assert (header.width, header.height) == (48, 32), name


def test_no_header_is_found_in_what_is_no_picture():
    for text in ("", "a", "%%%%", "data:,", base64.b64encode(b"text" * 5000).decode()):
        assert header_in_base64(json.dumps(text).encode()) is None

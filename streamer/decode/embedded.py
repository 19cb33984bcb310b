"""Pictures written into JSON as base64."""

import binascii

from streamer.decode.headers import Header, header_of
from streamer.errors import DecodeError

_SPACE = b" \t\r\n"
_DATA = "data:"
# Enough for the header of most pictures, and for those with a thumbnail or a colour profile.
_LOOKS = (2**12, 2**18)


def decode_base64(text: str, field: str) -> bytes:
    """Decode base64, maybe as a data URI; white space is skipped, padding may be missing.

    Raises:
        DecodeError: `invalid-base64`, `empty-value`.
    """
    if text.startswith(_DATA):
        head, comma, text = text.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise DecodeError(
                f"field '{field}' holds a data URI that is not base64", reason="invalid-base64"
            )
    try:
        signs = text.encode("ascii").translate(None, _SPACE)
        content = binascii.a2b_base64(signs + b"=" * (-len(signs) % 4), strict_mode=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise DecodeError(
            f"field '{field}' holds no base64: {len(text)} characters, begin with {text[:12]!r}",
            reason="invalid-base64",
        ) from error
    if not content:
        raise DecodeError(f"field '{field}' holds an empty picture", reason="empty-value")
    return content


def header_in_base64(content: bytes) -> Header | None:
    """Read a picture's header out of a JSON string, decoding no more of it than needed.

    Args:
        content: the string as it is written, quotes included.
    """
    for length in (*_LOOKS, len(content)):
        signs = content[1 : length + 1].replace(b"\\/", b"/")
        if signs.startswith(_DATA.encode()):
            signs = signs.partition(b",")[2]
        signs = signs.translate(None, _SPACE + b'"')
        try:
            start = binascii.a2b_base64(signs[: len(signs) // 4 * 4])
        except binascii.Error:
            continue
        header = header_of(start)
        if header is not None or length >= len(content):
            return header
    return None

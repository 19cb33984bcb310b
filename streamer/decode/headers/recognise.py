"""Telling a picture's format by its first bytes."""

import struct

from streamer.decode.headers.bmp import BMP
from streamer.decode.headers.gif import GIF
from streamer.decode.headers.header import Format, Header
from streamer.decode.headers.jpeg import JPEG
from streamer.decode.headers.png import PNG
from streamer.decode.headers.tiff import TIFF
from streamer.decode.headers.webp import WEBP
from streamer.errors import DecodeError

_SIGNATURE_BYTES = 12
_SIGNATURES = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"II+\0", TIFF),
    (b"MM\0+", TIFF),
    (b"BM", BMP),
)
_SHOWN = 12
# A position of 64 bits in BigTIFF may be beyond what an index can be.
_ENDS_TOO_SOON = (struct.error, OverflowError)


def _format_of(value: bytes) -> Format | None:
    for signature, form in _SIGNATURES:
        if value.startswith(signature):
            return form
    if value[:4] == b"RIFF" and value[8:_SIGNATURE_BYTES] == b"WEBP":
        return WEBP
    return None


def read_header(value: bytes) -> tuple[Format, Header]:
    """Tell the format by content and read what it says of itself.

    Raises:
        DecodeError: `not-an-image`, `truncated-image`, `corrupt-image`, `unsupported-image`.
    """
    form = _format_of(value)
    if form is None:
        seen = str(value[:_SHOWN]).removeprefix("b")
        raise DecodeError(
            f"no picture: {len(value)} bytes, begin with {seen}", reason="not-an-image"
        )
    try:
        return form, form.read(value)
    except _ENDS_TOO_SOON as error:
        raise DecodeError(
            f"{form.name} that ends within its header, after {len(value)} bytes",
            reason="truncated-image",
        ) from error


def is_whole(form: Format, value: bytes, header: Header) -> bool:
    """Tell whether the value holds the (first) picture to its end.

    Raises:
        DecodeError: `corrupt-image`.
    """
    try:
        return form.whole(value, header)
    except _ENDS_TOO_SOON:
        return False


def header_of(value: bytes) -> Header | None:
    """Read the header, or give None for what is no readable picture."""
    try:
        return read_header(value)[1]
    except DecodeError:
        return None

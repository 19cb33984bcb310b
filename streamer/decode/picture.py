"""Encoded pictures to pixels: the rules; `opencv` and `pillow` do the work."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.config.topology import Images, Limits
from streamer.decode.headers import Header, is_whole, read_header
from streamer.decode.opencv import by_opencv, from_16_bit
from streamer.decode.pillow import by_pillow
from streamer.decode.repair import repaired
from streamer.errors import DecodeError
from streamer.records import Image

_DEEP = 16


def decode_image(value: bytes, images: Images, limits: Limits) -> Image:
    """Decode a picture: upright, 8 bits, three channels.

    Raises:
        DecodeError: `not-an-image`, `truncated-image`, `corrupt-image`, `unsupported-image`,
            `too-many-pixels`.
    """
    form, header = read_header(value)
    if header.pixels > limits.pixels:
        raise DecodeError(
            f"{_named(header)}, {header.pixels} in all; limits.pixels is {limits.pixels}",
            reason="too-many-pixels",
        )
    whole = is_whole(form, value, header)
    mended = value if whole else _mended(value, header, images)
    pixels = _pixels(mended, header, images.background)
    if pixels is None:
        raise _unreadable(value, header) if whole else _cut_off(value, header)
    if sorted(pixels.shape[:2]) != sorted((header.height, header.width)):
        raise DecodeError(
            f"{_named(header)} whose pixels are {pixels.shape[1]}x{pixels.shape[0]}",
            reason="corrupt-image",
        )
    common = whole and header.plain and header.depth < _DEEP and not header.alpha
    return Image(pixels, value if common else None)


def _named(header: Header) -> str:
    return f"{header.format} of {header.width}x{header.height} pixels"


def _mended(value: bytes, header: Header, images: Images) -> bytes:
    mended = repaired(value, header) if images.truncated == "allow" else None
    if mended is None:
        raise _cut_off(value, header)
    return mended


def _cut_off(value: bytes, header: Header) -> DecodeError:
    return DecodeError(
        f"{_named(header)} whose end is missing: {len(value)} bytes are there",
        reason="truncated-image",
    )


def _unreadable(value: bytes, header: Header) -> DecodeError:
    return DecodeError(
        f"{_named(header)}, {len(value)} bytes: its pixels cannot be decoded",
        reason="corrupt-image",
    )


def _pixels(value: bytes, header: Header, background: str | None) -> NDArray[Any] | None:
    """Choose the decoder; what OpenCV refuses, Pillow may still read."""
    if background is not None and header.alpha:
        return by_pillow(value, header, background)
    if header.depth == _DEEP:
        return from_16_bit(value, header)
    pixels: NDArray[np.uint8] | None = None
    if header.plain:
        pixels = by_opencv(value, header)
    return by_pillow(value, header) if pixels is None else pixels

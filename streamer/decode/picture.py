"""Encoded pictures to pixels: the rules; `opencv` and `pillow` do the work."""

from collections.abc import Callable
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
_PARTS = (8, 4, 2)
_SPARE = 2

Jpegs = Callable[[bytes], NDArray[np.uint8] | None]
"""Decodes JPEGs elsewhere than on the CPU; None for what the CPU is to read."""


def decode_image(
    value: bytes,
    images: Images,
    limits: Limits,
    edge: int | None = None,
    jpegs: Jpegs | None = None,
) -> Image:
    """Decode a picture: upright, 8 bits, three channels.

    Args:
        value: the encoded picture.
        images: how it is read.
        limits: what it may ask for.
        edge: with `decode: fast`, the longest side of any model's input, in pixels; None where
            the picture itself is needed.
        jpegs: with `decode: gpu`, what decodes whole JPEGs.

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
    shrunk = _shrunk(header, edge) if whole and images.decode == "fast" else 1
    pixels = None
    if jpegs is not None and whole and header.plain and header.format == "JPEG":
        pixels = jpegs(value)
    if pixels is None:
        pixels = _pixels(mended, header, images.background, shrunk)
    if pixels is None:
        raise _unreadable(value, header) if whole else _cut_off(value, header)
    if sorted(pixels.shape[:2]) != sorted(
        (-(-header.height // shrunk), -(-header.width // shrunk))
    ):
        raise DecodeError(
            f"{_named(header)} whose pixels are {pixels.shape[1]}x{pixels.shape[0]}",
            reason="corrupt-image",
        )
    common = whole and header.plain and header.depth < _DEEP and not header.alpha
    full = None
    if shrunk > 1:
        upright = pixels.shape[0] == -(-header.height // shrunk)
        full = (header.height, header.width) if upright else (header.width, header.height)
    return Image(pixels, value if common else None, full)


def _shrunk(header: Header, edge: int | None) -> int:
    """Say by how much a JPEG may shrink so that it keeps twice the pixels a model takes."""
    if edge is None or header.format != "JPEG" or not header.plain:
        return 1
    shorter = min(header.height, header.width)
    return next((part for part in _PARTS if shorter >= _SPARE * edge * part), 1)


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


def _pixels(
    value: bytes, header: Header, background: str | None, shrunk: int
) -> NDArray[Any] | None:
    """Choose the decoder; what OpenCV refuses, Pillow may still read."""
    if background is not None and header.alpha:
        return by_pillow(value, header, background)
    if header.depth == _DEEP:
        return from_16_bit(value, header)
    pixels: NDArray[np.uint8] | None = None
    if header.plain:
        pixels = by_opencv(value, header, shrunk)
    return by_pillow(value, header) if pixels is None and shrunk == 1 else pixels

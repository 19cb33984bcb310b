"""Decoding by OpenCV: the fast way, bit for bit what Pillow gives for plain pictures."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.decode.headers import Header
from streamer.decode.headers.png import without_extras

_TO_8_BIT: NDArray[np.uint8] = ((np.arange(2**16) + 128) // 257).astype(np.uint8)
"""By a 16-bit value v: v / 257, rounded, so that 65535 is 255."""


_REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def by_opencv(value: bytes, header: Header, shrunk: int = 1) -> NDArray[np.uint8] | None:
    """Decode to BGR, upright by EXIF, alpha dropped; None where OpenCV reads nothing.

    Args:
        value: the encoded picture.
        header: what it says of itself.
        shrunk: 2, 4 or 8 for a JPEG at that part of its sides: its blocks are never made whole.
    """
    pixels = _imdecode(_prepared(value, header), _REDUCED[shrunk])
    return pixels if pixels is not None and pixels.dtype == np.uint8 else None


def from_16_bit(value: bytes, header: Header) -> NDArray[np.uint8] | None:
    """Decode a picture of 16 bits per channel to BGR of 8, alpha dropped."""
    # OpenCV makes colour of grey 16-bit TIFF wrongly, but reads it as it is.
    grey_safe = header.format == "TIFF"
    flags = cv2.IMREAD_UNCHANGED if grey_safe else cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    pixels = _imdecode(_prepared(value, header), flags)
    if pixels is None or pixels.dtype != np.uint16:
        return None
    narrow: NDArray[np.uint8] = _TO_8_BIT[pixels]
    if narrow.ndim == 2:  # noqa: PLR2004 - [height, width]
        return cv2.cvtColor(narrow, cv2.COLOR_GRAY2BGR).astype(np.uint8, copy=False)
    return np.ascontiguousarray(narrow[..., :3]) if narrow.shape[2] > 2 else None  # noqa: PLR2004


def _prepared(value: bytes, header: Header) -> bytes:
    return without_extras(value) if header.format == "PNG" else value


def _imdecode(value: bytes, flags: int) -> NDArray[Any] | None:
    try:
        return cv2.imdecode(np.frombuffer(value, np.uint8), flags)
    except cv2.error:
        return None

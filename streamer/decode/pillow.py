"""Decoding by Pillow: what OpenCV reads otherwise than viewers do, or not at all."""

import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps

from streamer.decode.headers import Header

_MODES_OF_8_BIT = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "LAB"}


def by_pillow(
    value: bytes, header: Header, background: str | None = None
) -> NDArray[np.uint8] | None:
    """Decode to BGR, upright by EXIF.

    Args:
        value: an encoded picture.
        header: what was read of its header; only this format is tried.
        background: colour put behind transparent pixels; None drops the alpha channel.

    Returns:
        uint8 [height, width, 3], or None where Pillow reads nothing.
    """
    try:
        with Pillow.open(io.BytesIO(value), formats=(header.format.upper(),)) as opened:
            if opened.mode not in _MODES_OF_8_BIT or opened.width * opened.height > header.pixels:
                return None
            upright = ImageOps.exif_transpose(opened)
            flat = _flat(upright, background)
            return cv2.cvtColor(np.asarray(flat), cv2.COLOR_RGB2BGR).astype(np.uint8, copy=False)
    except Exception:  # noqa: BLE001 - broken files raise anything, from OSError to SyntaxError
        return None


def _flat(picture: Pillow.Image, background: str | None) -> Pillow.Image:
    if background is None or not picture.has_transparency_data:
        return picture.convert("RGB")
    behind = Pillow.new("RGBA", picture.size, background)
    return Pillow.alpha_composite(behind, picture.convert("RGBA")).convert("RGB")

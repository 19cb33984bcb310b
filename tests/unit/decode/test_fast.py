"""Scaled decoding: smaller than the picture, never smaller than twice what a model takes."""

import cv2
import numpy as np
import pytest
from support import tiny

from streamer.config.topology import Images, Limits
from streamer.decode.picture import decode_image

FAST = Images(decode="fast")
TOLERANCE_MEAN, TOLERANCE_MOST = 3.0, 64
"""Grey levels, after both were resized to the model's input: what docs/tuning.md states."""


def photo(height, width, quality=90):
    """A picture with soft shapes and an edge, as photographs have."""
    chance = np.random.default_rng(0)
    coarse = chance.integers(0, 255, (height // 60 + 2, width // 60 + 2, 3), dtype=np.uint8)
    pixels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    cv2.rectangle(pixels, (width // 4, height // 4), (width // 2, height // 2), (20, 200, 90), -1)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


@pytest.mark.parametrize(
    ("edge", "shape"),
    [(224, (600, 800)), (112, (300, 400)), (56, (150, 200)), (10, (150, 200)), (400, (1200, 1600))],
)
def test_a_large_jpeg_shrinks_as_far_as_twice_the_input_allows(edge, shape):
    image = decode_image(photo(1200, 1600), FAST, Limits(), edge)
    assert image.pixels.shape[:2] == shape
    assert image.full == (None if shape == (1200, 1600) else (1200, 1600))


@pytest.mark.parametrize("size", [(1200, 1600), (1601, 1203), (903, 2005)])
def test_what_a_model_gets_differs_by_a_few_grey_levels(size):
    value = photo(*size)
    whole = decode_image(value, Images(), Limits(), 112)
    quick = decode_image(value, FAST, Limits(), 112)
    assert quick.pixels.size < whole.pixels.size
    small, other = (
        cv2.resize(image.pixels, (112, 112), interpolation=cv2.INTER_AREA).astype(int)
        for image in (whole, quick)
    )
    assert np.abs(small - other).mean() <= TOLERANCE_MEAN
    assert np.abs(small - other).max() <= TOLERANCE_MOST


def test_exact_decoding_and_a_picture_that_is_wanted_whole_never_shrink():
    value = photo(1200, 1600)
    assert decode_image(value, Images(), Limits(), 10).pixels.shape == (1200, 1600, 3)
    assert decode_image(value, FAST, Limits(), None).pixels.shape == (1200, 1600, 3)


def test_only_jpegs_shrink():
    value = tiny.picture("red", (400, 400), ".png")
    assert decode_image(value, FAST, Limits(), 16).pixels.shape == (400, 400, 3)


def test_a_picture_on_its_side_is_upright_and_told_so():
    upright = photo(1200, 1600)
    exif = b"\xff\xe1\x00\x22Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03"
    exif += b"\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"
    image = decode_image(upright[:2] + exif + upright[2:], FAST, Limits(), 56)
    assert image.pixels.shape == (200, 150, 3)
    assert image.full == (1600, 1200)

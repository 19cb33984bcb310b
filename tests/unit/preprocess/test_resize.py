"""Each rule is the one that it is named after."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from streamer.preprocess.resize import greyed, resized

PILLOW = {
    "pillow-bilinear": Pillow.Resampling.BILINEAR,
    "pillow-bicubic": Pillow.Resampling.BICUBIC,
    "pillow-lanczos": Pillow.Resampling.LANCZOS,
}
RULES = [*PILLOW, "opencv-linear", "opencv-area", "opencv-cubic", "opencv-nearest", "tf-bilinear"]


def noise(height: int, width: int, channels: int = 3):
    return np.random.default_rng(1).integers(0, 256, (height, width, channels), np.uint8)


def tf_bilinear(pixels, height: int, width: int):
    """The formula of TensorFlow's ResizeBilinear with half_pixel_centers, spelt out."""

    def taps(size: int, wanted: int):
        at = (np.arange(wanted) + 0.5) * (size / wanted) - 0.5
        low = np.floor(at)
        low_index = np.clip(low, 0, size - 1).astype(int)
        return low_index, np.clip(low + 1, 0, size - 1).astype(int), at - low

    top, bottom, down = taps(pixels.shape[0], height)
    left, right, across = taps(pixels.shape[1], width)
    floats = pixels.astype(np.float64)
    across, down = across[None, :, None], down[:, None, None]
    upper = floats[top][:, left] * (1 - across) + floats[top][:, right] * across
    lower = floats[bottom][:, left] * (1 - across) + floats[bottom][:, right] * across
    return upper * (1 - down) + lower * down


@pytest.mark.parametrize("size", [(13, 9), (90, 70), (13, 120)])
@pytest.mark.parametrize("rule", PILLOW)
def test_pillow_rules_are_pillows(rule, size):
    pixels = noise(40, 50)
    wanted = Pillow.fromarray(pixels).resize(size[::-1], PILLOW[rule])
    assert np.array_equal(resized(pixels, *size, rule), np.asarray(wanted))


@pytest.mark.parametrize("size", [(13, 9), (90, 70), (13, 120)])
def test_tf_bilinear_is_tensorflows_and_not_rounded(size):
    pixels = noise(40, 50)
    result = resized(pixels, *size, "tf-bilinear")
    assert result.dtype == np.float32
    assert np.abs(result - tf_bilinear(pixels, *size)).max() < 1e-3


def test_area_is_for_shrinking_both_sides_and_linear_for_the_rest():
    pixels = noise(40, 50)
    for size, method in (
        ((13, 9), cv2.INTER_AREA),
        ((40, 9), cv2.INTER_AREA),
        ((90, 70), cv2.INTER_LINEAR),
        ((13, 120), cv2.INTER_LINEAR),
    ):
        wanted = cv2.resize(pixels, size[::-1], interpolation=method)
        assert np.array_equal(resized(pixels, *size, "opencv-area"), wanted)


def test_no_two_rules_give_the_same_picture():
    small = [resized(noise(40, 50), 13, 17, rule).astype(float) for rule in RULES]
    close = [
        (RULES[one], RULES[two])
        for one in range(len(RULES))
        for two in range(one)
        if np.abs(small[one] - small[two]).max() < 2
    ]
    # Not antialiased both; OpenCV rounds.
    assert close == [("tf-bilinear", "opencv-linear")]


@given(
    rule=st.sampled_from(RULES),
    channels=st.sampled_from([1, 3]),
    size=st.tuples(*[st.integers(1, 40)] * 4),
)
def test_every_rule_gives_the_size_that_was_asked_for(rule, channels, size):
    height, width, new_height, new_width = size
    result = resized(noise(height, width, channels), new_height, new_width, rule)
    assert result.shape == (new_height, new_width, channels)


@pytest.mark.parametrize("rule", RULES)
def test_a_picture_of_the_right_size_is_left_alone(rule):
    pixels = noise(8, 9)
    result = resized(pixels, 8, 9, rule)
    assert np.array_equal(result, pixels)
    assert (result is pixels) == (rule != "tf-bilinear")


def test_grey_is_made_by_the_library_of_the_rule():
    pixels = noise(64, 64)
    by_pillow = np.asarray(Pillow.fromarray(pixels[..., ::-1].copy()).convert("L"))
    by_opencv = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    assert np.array_equal(greyed(pixels, "pillow-bilinear")[..., 0], by_pillow)
    assert np.array_equal(greyed(pixels, "opencv-linear")[..., 0], by_opencv)
    assert np.abs(by_pillow.astype(int) - by_opencv).max() == 1


def test_grey_of_grey_is_the_same():
    ramp = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(16, 16, 3)
    for rule in RULES:
        assert np.array_equal(greyed(ramp, rule)[..., 0], ramp[..., 0])

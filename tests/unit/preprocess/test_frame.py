"""Where pictures come to lie, and that it can be undone."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import RecordError
from streamer.models.manifest import ImageInput
from streamer.preprocess.frame import framed, padded_size

SQUARE = {"height": 64, "width": 96}


def spec(**settings) -> ImageInput:
    return ImageInput(kind="image", **settings)


def noise(height: int, width: int):
    return np.random.default_rng(2).integers(0, 256, (height, width, 3), np.uint8)


def test_a_letterbox_is_yoloxs():
    pixels = noise(111, 333)
    result, geometry = framed(pixels, spec(size=SQUARE, resize="letterbox"))
    ratio = min(64 / 111, 96 / 333)
    wanted = np.full((64, 96, 3), 114, np.uint8)
    inner = cv2.resize(pixels, (int(333 * ratio), int(111 * ratio)))
    wanted[: inner.shape[0], : inner.shape[1]] = inner
    assert np.array_equal(result, wanted)
    assert (geometry.scale_x, geometry.scale_y) == (ratio, ratio)
    assert (geometry.pad_left, geometry.pad_top) == (0, 0)


@pytest.mark.parametrize("side", [161, 163, 165, 160, 162])
def test_half_a_pixel_of_margin_goes_down_or_to_the_even_number(side):
    pixels = noise(side, 160)
    crop = {"do_center_crop": True, "crop_size": {"height": 160, "width": 160}}
    for rounding, rounded in (("down", int), ("even", round)):
        result, _ = framed(pixels, spec(crop_rounding=rounding, **crop))
        top = rounded((side - 160) / 2)
        assert np.array_equal(result, pixels[top : top + 160])


def test_a_centred_letterbox_is_ultralytics():
    pixels = noise(111, 333)
    settings = {"resize": "letterbox", "pad": "center", "pad_value": 7}
    result, geometry = framed(pixels, spec(size=SQUARE, **settings))
    ratio = min(64 / 111, 96 / 333)
    width, height = round(333 * ratio), round(111 * ratio)
    across, down = (96 - width) / 2, (64 - height) / 2
    inner = cv2.resize(pixels, (width, height))
    wanted = cv2.copyMakeBorder(
        inner,
        round(down - 0.1),
        round(down + 0.1),
        round(across - 0.1),
        round(across + 0.1),
        cv2.BORDER_CONSTANT,
        value=(7, 7, 7),
    )
    assert np.array_equal(result, wanted)
    assert (geometry.pad_left, geometry.pad_top) == (round(across - 0.1), round(down - 0.1))


@pytest.mark.parametrize(
    ("resample", "longer"), [("opencv-linear", 106), ("pillow-bilinear", 105), ("tf-bilinear", 105)]
)
@pytest.mark.parametrize("upright", [True, False])
def test_the_shortest_edge_rounds_the_longer_as_its_library_does(resample, longer, upright):
    height, width = (68, 100) if upright else (100, 68)
    result, _ = framed(noise(height, width), spec(size={"shortest_edge": 72}, resample=resample))
    assert result.shape[:2] == ((72, longer) if upright else (longer, 72))


def test_a_crop_takes_the_middle_rounded_to_the_corner():
    pixels = noise(9, 12)
    settings = {"do_center_crop": True, "crop_size": {"height": 4, "width": 5}}
    result, geometry = framed(pixels, spec(size={"shortest_edge": 9}, **settings))
    assert np.array_equal(result, pixels[2:6, 3:8])
    assert (geometry.pad_left, geometry.pad_top) == (-3, -2)
    assert geometry.model == (4, 5)


def test_a_crop_larger_than_the_picture_is_padded_with_black():
    pixels = noise(9, 12)
    settings = {"do_center_crop": True, "crop_size": {"height": 14, "width": 10}}
    result, geometry = framed(pixels, spec(size={"shortest_edge": 9}, **settings))
    wanted = np.zeros((14, 10, 3), np.uint8)
    wanted[2:11] = pixels[:, 1:11]
    assert np.array_equal(result, wanted)
    assert (geometry.pad_left, geometry.pad_top) == (-1, 2)


@given(
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    rule=st.sampled_from(["stretch", "letterbox", "shortest-edge"]),
    pad=st.sampled_from(["top-left", "center"]),
    crop=st.booleans(),
)
def test_geometry_leads_back_to_the_original(size, rule, pad, crop):
    height, width = size
    target = {"shortest_edge": 64} if rule == "shortest-edge" else SQUARE
    settings = {"do_center_crop": crop, "crop_size": {"height": 50, "width": 70}} if crop else {}
    result, geometry = framed(
        noise(height, width), spec(size=target, resize=rule, pad=pad, **settings)
    )
    assert geometry.original == size
    assert geometry.model == result.shape[:2]
    if crop:
        assert geometry.model == (50, 70)
    # The original's middle, there by its place in the frame and back by the formula; sizes are
    # whole pixels, so a pixel of the model's may be lost.
    inner = geometry.scale_x * width, geometry.scale_y * height
    if rule == "letterbox" and not crop:
        assert inner[0] <= 96 + 1e-6
        assert inner[1] <= 64 + 1e-6
        if pad == "center":
            assert abs(geometry.pad_left + inner[0] / 2 - 48) <= 1
            assert abs(geometry.pad_top + inner[1] / 2 - 32) <= 1
    if rule != "letterbox" and crop:
        assert abs(geometry.pad_left + inner[0] / 2 - 35) <= 0.5 + 1e-6
        assert abs(geometry.pad_top + inner[1] / 2 - 25) <= 0.5 + 1e-6


@pytest.mark.parametrize("rule", ["stretch", "letterbox", "shortest-edge"])
@pytest.mark.parametrize("crop", [True, False])
def test_a_mark_in_the_picture_is_found_again(rule, crop):
    pixels = np.zeros((200, 300, 3), np.uint8)
    pixels[96:104, 146:154] = 255
    target = {"shortest_edge": 64} if rule == "shortest-edge" else SQUARE
    settings = {"do_center_crop": True, "crop_size": {"height": 40, "width": 60}} if crop else {}
    result, geometry = framed(
        pixels, spec(size=target, resize=rule, pad="center", pad_value=0, **settings)
    )
    rows, columns = np.nonzero(result[..., 0] > 100)
    assert abs((columns.mean() + 0.5 - geometry.pad_left) / geometry.scale_x - 150) < 1
    assert abs((rows.mean() + 0.5 - geometry.pad_top) / geometry.scale_y - 100) < 1


def test_a_long_strip_is_resized_and_an_endless_one_refused():
    square = spec(size={"shortest_edge": 182})
    assert framed(noise(20, 5000), square)[1].model == (182, 45500)
    with pytest.raises(RecordError, match="200000x1 pixels") as caught:
        framed(noise(1, 200_000), square)
    assert caught.value.reason == "too-elongated"


def test_nothing_is_resized_where_the_manifest_says_none():
    pixels = noise(64, 96)
    assert framed(pixels, spec(size=SQUARE, resize="none"))[0] is pixels
    with pytest.raises(RecordError, match="65x64 pixels; the model takes 96x64") as caught:
        framed(noise(64, 65), spec(size=SQUARE, resize="none"))
    assert caught.value.reason == "wrong-size"


def in_proportion(height: int, width: int, shortest: int, longest: int) -> tuple[int, int]:
    """DETR's rule, as facebookresearch/detr, datasets/transforms.py, and transformers have it."""
    size: float = shortest
    if max(height, width) / min(height, width) * shortest > longest:
        size = longest * min(height, width) / max(height, width)
    edge = round(size)
    if min(height, width) == edge:
        return height, width
    if width < height:
        return int(size * height / width), edge
    return edge, int(size * width / height)


@given(height=st.integers(1, 400), width=st.integers(1, 400))
def test_a_longest_edge_limits_the_shortest(height, width):
    chosen = spec(size={"shortest_edge": 40, "longest_edge": 60}, resample="pillow-bilinear")
    result, geometry = framed(noise(height, width), chosen)
    wanted = in_proportion(height, width, 40, 60)
    assert result.shape[:2] == (max(wanted[0], 1), max(wanted[1], 1))
    assert geometry.scale_y == result.shape[0] / height


@pytest.mark.parametrize(
    ("size", "made"),
    [
        ({"longest_edge": 64}, (32, 64)),
        ({"max_height": 20, "max_width": 64}, (20, 40)),
        ({"max_height": 99, "max_width": 64}, (32, 64)),
    ],
)
def test_a_picture_fits_into_a_frame_in_proportion(size, made):
    assert framed(noise(100, 200), spec(size=size))[0].shape[:2] == made
    assert framed(noise(10, 20), spec(size=size))[0].shape[:2] == made  # enlarged, too


def test_sides_may_be_cut_down_to_a_multiple():
    chosen = spec(size={"shortest_edge": 50, "longest_edge": 200}, side_divisor=16)
    result, geometry = framed(noise(100, 150), chosen)
    assert result.shape[:2] == (48, 64)  # of 50 x 75
    assert (geometry.scale_y, geometry.scale_x) == (0.48, 64 / 150)


@pytest.mark.parametrize("size", [{"height": 40, "width": 40}, {"shortest_edge": 40}])
def test_a_share_is_cut_from_the_middle(size):
    pixels = noise(100, 80)
    chosen = spec(
        size=size,
        crop_pct=0.8,
        resample="pillow-bicubic",
        resize="shortest-edge",
    )
    by_hand = spec(
        size={"shortest_edge": 50},
        do_center_crop=True,
        crop_size={"height": 40, "width": 40},
        resample="pillow-bicubic",
    )
    result, geometry = framed(pixels, chosen)
    wanted, other = framed(pixels, by_hand)
    assert np.array_equal(result, wanted)
    assert geometry == other


@pytest.mark.parametrize(
    ("rule", "padded"),
    [
        ({}, (33, 64)),
        ({"size_divisor": 32}, (64, 64)),
        ({"pad_size": {"height": 50, "width": 70}}, (50, 70)),
    ],
)
def test_padding_is_known_before_it_is_made(rule, padded):
    assert padded_size(spec(**rule), 33, 64) == padded


def test_what_is_larger_than_its_padding_is_refused():
    with pytest.raises(RecordError, match="64x51 pixels once resized; the model takes 70x50"):
        padded_size(spec(pad_size={"height": 50, "width": 70}), 51, 64)

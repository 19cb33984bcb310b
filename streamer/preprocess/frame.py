"""Where a picture comes to lie in the model's input: letterbox, stretch, shortest edge, crop."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.errors import RecordError
from streamer.models.manifest import CropSize, ImageInput
from streamer.preprocess.resize import resized
from streamer.records import Geometry

Pixels = NDArray[np.uint8] | NDArray[np.float32]

# A strip of one pixel's height, its shorter side brought to the model's, is hundreds of times as
# long as the model is wide; beyond this it is refused rather than made.
_MOST_PIXELS = 2**25


@dataclass(frozen=True, slots=True)
class _Placed:
    """A resized picture: pixels of it per pixel of the original, and where its corner lies."""

    pixels: Pixels
    scale_x: float
    scale_y: float
    left: int = 0
    top: int = 0


def framed(pixels: NDArray[np.uint8], spec: ImageInput) -> tuple[Pixels, Geometry]:
    """Bring a picture to the model's size.

    Args:
        pixels: uint8 [height, width, channels].
        spec: what the manifest says of the tensor.

    Returns:
        The picture, and what undoes the geometry for boxes.

    Raises:
        RecordError: `too-elongated`, or `wrong-size` where the model resizes nothing.
    """
    height, width = pixels.shape[:2]
    match spec.resize_rule:
        case "letterbox":
            placed = _letterboxed(pixels, spec)
        case "shortest-edge":
            placed = _resized(pixels, *_by_shortest_edge(height, width, spec), spec)
        case "fit":
            placed = _resized(pixels, *_fitting(height, width, spec), spec)
        case "stretch":
            placed = _resized(pixels, *_both_sides(spec), spec)
        case _:
            placed = _as_it_is(pixels, spec)
    if spec.cropped is not None:
        placed = _cropped(placed, spec.cropped, even=spec.crop_rounding == "even")
    size = placed.pixels.shape[0], placed.pixels.shape[1]
    geometry = Geometry(
        (height, width), size, placed.scale_x, placed.scale_y, placed.left, placed.top
    )
    return placed.pixels, geometry


def _both_sides(spec: ImageInput) -> tuple[int, int]:
    """Give height and width; a shortest edge alone asks for a square."""
    side = spec.size.shortest_edge or 0
    return spec.size.height or side, spec.size.width or side


def _resized(pixels: NDArray[np.uint8], height: int, width: int, spec: ImageInput) -> _Placed:
    if spec.side_divisor is not None:
        height -= height % spec.side_divisor if height >= spec.side_divisor else 0
        width -= width % spec.side_divisor if width >= spec.side_divisor else 0
    if height * width > _MOST_PIXELS:
        raise RecordError(
            f"a picture of {pixels.shape[1]}x{pixels.shape[0]} pixels, resized by "
            f"{spec.resize_rule}, would be {width}x{height}",
            reason="too-elongated",
        )
    result = resized(pixels, height, width, spec.resample)
    return _Placed(result, width / pixels.shape[1], height / pixels.shape[0])


def _letterboxed(pixels: NDArray[np.uint8], spec: ImageInput) -> _Placed:
    height, width = _both_sides(spec)
    scale = min(height / pixels.shape[0], width / pixels.shape[1])
    # YOLOX rounds down, from the corner; Ultralytics rounds, and centres with -0.1.
    centred = spec.pad == "center"
    rounded = round if centred else int
    inner_height = min(height, max(1, rounded(pixels.shape[0] * scale)))
    inner_width = min(width, max(1, rounded(pixels.shape[1] * scale)))
    left = round((width - inner_width) / 2 - 0.1) if centred else 0
    top = round((height - inner_height) / 2 - 0.1) if centred else 0
    inner = resized(pixels, inner_height, inner_width, spec.resample)
    if (inner_height, inner_width) != (height, width):
        padded = np.full((height, width, inner.shape[2]), spec.pad_value, inner.dtype)
        padded[top : top + inner_height, left : left + inner_width] = inner
        inner = padded
    return _Placed(inner, scale, scale, left, top)


def _by_shortest_edge(height: int, width: int, spec: ImageInput) -> tuple[int, int]:
    """Give the size at which the shorter side fits, and the longer one if that is limited.

    The longer side is rounded down as in transformers and torchvision, where Pillow's rules come
    from, and to the nearest whole number with OpenCV's, as those do who call `cv2.resize`.
    """
    edge: float = spec.size.shortest_edge or min(_both_sides(spec))
    if spec.crop_pct is not None:
        edge = int(edge / spec.crop_pct)
    longest = spec.size.longest_edge
    limited = longest is not None and max(height, width) / min(height, width) * edge > longest
    # the shorter side before it is rounded: transformers takes the longer one from it
    exact = longest * min(height, width) / max(height, width) if longest and limited else edge
    edge = round(exact) if limited else int(edge)
    if longest is not None and min(height, width) == edge:
        return height, width
    edge = max(edge, 1)
    rounded = round if spec.resample.startswith("opencv-") else int
    if width <= height:
        return max(rounded(exact * height / width), 1), edge
    return edge, max(rounded(exact * width / height), 1)


def _fitting(height: int, width: int, spec: ImageInput) -> tuple[int, int]:
    """Give the largest size within a frame, sides in proportion, rounded down."""
    frame = spec.size.frame or _both_sides(spec)
    scale = min(frame[0] / height, frame[1] / width)
    return max(int(height * scale), 1), max(int(width * scale), 1)


def _as_it_is(pixels: NDArray[np.uint8], spec: ImageInput) -> _Placed:
    height, width = pixels.shape[:2]
    wanted = spec.size.height, spec.size.width
    if spec.cropped is None and None not in wanted and wanted != (height, width):
        raise RecordError(
            f"a picture of {width}x{height} pixels; the model takes {wanted[1]}x{wanted[0]} "
            "and resizes nothing",
            reason="wrong-size",
        )
    return _Placed(pixels, 1.0, 1.0)


def _cropped(placed: _Placed, crop: CropSize, *, even: bool) -> _Placed:
    """Cut the middle out; what is smaller is put into the middle of black."""
    pixels, height, width = placed.pixels, crop.height, crop.width
    left = _margin(pixels.shape[1], width, even=even)
    top = _margin(pixels.shape[0], height, even=even)
    part = pixels[max(0, top) : max(0, top) + height, max(0, left) : max(0, left) + width]
    if part.shape[:2] != (height, width):
        padded = np.zeros((height, width, pixels.shape[2]), pixels.dtype)
        at_top, at_left = max(0, -top), max(0, -left)
        padded[at_top : at_top + part.shape[0], at_left : at_left + part.shape[1]] = part
        part = padded
    return _Placed(part, placed.scale_x, placed.scale_y, placed.left - left, placed.top - top)


def _margin(side: int, wanted: int, *, even: bool) -> int:
    """Give what is cut off before the middle; negative where it is padded. Halves go to zero.

    With `even` they go to the even number, as in torchvision's CenterCrop.
    """
    half = (side - wanted) / 2
    return round(half) if even and half > 0 else int(half)


def padded_size(spec: ImageInput, height: int, width: int) -> tuple[int, int]:
    """Give the size of a framed picture once it is padded at right and bottom.

    Raises:
        RecordError: `wrong-size`, it is larger than that.
    """
    if spec.size_divisor is not None:
        step = spec.size_divisor
        return -(-height // step) * step, -(-width // step) * step
    if spec.pad_size is None:
        return height, width
    if height > spec.pad_size.height or width > spec.pad_size.width:
        raise RecordError(
            f"a picture of {width}x{height} pixels once resized; the model takes "
            f"{spec.pad_size.width}x{spec.pad_size.height}, padded",
            reason="wrong-size",
        )
    return spec.pad_size.height, spec.pad_size.width

"""The closed list of resize rules.

Rules differ by up to 40 grey levels on real pictures, enough to change labels: a model is asked
with the rule that it was trained or published with.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from streamer.models.manifest import Resample

_PILLOW = {
    "pillow-bilinear": Pillow.Resampling.BILINEAR,
    "pillow-bicubic": Pillow.Resampling.BICUBIC,
    "pillow-lanczos": Pillow.Resampling.LANCZOS,
    "pillow-box": Pillow.Resampling.BOX,
    "pillow-hamming": Pillow.Resampling.HAMMING,
    "pillow-nearest": Pillow.Resampling.NEAREST,
}
_OPENCV = {
    "opencv-linear": cv2.INTER_LINEAR,
    "opencv-cubic": cv2.INTER_CUBIC,
    "opencv-nearest": cv2.INTER_NEAREST,
}


def resized(
    pixels: NDArray[np.uint8], height: int, width: int, rule: Resample
) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Resize a picture.

    Args:
        pixels: uint8 [height, width, channels], whatever the channels' order.
        height: of the result, in pixels.
        width: of the result.
        rule: `pillow-*` filters over all pixels that fall together (antialiased);
            `opencv-*` is `cv2.resize`; `tf-bilinear` is `tf.image.resize` of TensorFlow 2.

    Returns:
        uint8 [height, width, channels]; always float32 for `tf-bilinear`, which does not round.
    """
    if rule == "tf-bilinear":
        # Half-pixel centres, no antialiasing: OpenCV's linear rule, in floating point.
        floats = pixels.astype(np.float32)
        return _by_opencv(floats, height, width, cv2.INTER_LINEAR)  # type: ignore[return-value]
    if pixels.shape[:2] == (height, width):
        return pixels
    if rule in _PILLOW:
        return _by_pillow(pixels, height, width, _PILLOW[rule])
    if rule == "opencv-area":
        shrinks = height <= pixels.shape[0] and width <= pixels.shape[1]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return _by_opencv(pixels, height, width, method)  # type: ignore[return-value]
    return _by_opencv(pixels, height, width, _OPENCV[rule])  # type: ignore[return-value]


def greyed(pixels: NDArray[np.uint8], rule: Resample) -> NDArray[np.uint8]:
    """Make grey of BGR, uint8 [height, width, 1], by the library that the rule names.

    Both weigh by ITU-R 601; OpenCV and Pillow (mode "L") round differently, by one level at most.
    """
    if rule in _PILLOW:
        picture = Pillow.fromarray(np.ascontiguousarray(pixels[..., ::-1]))
        return np.asarray(picture.convert("L"))[..., np.newaxis]
    grey: NDArray[np.uint8] = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)  # type: ignore[assignment]
    return grey[..., np.newaxis]


def _by_opencv(
    pixels: NDArray[np.uint8] | NDArray[np.float32], height: int, width: int, method: int
) -> NDArray[np.uint8 | np.float32]:
    result = cv2.resize(pixels, (width, height), interpolation=method)
    # OpenCV drops a single channel's axis.
    return result.reshape(height, width, pixels.shape[2])  # type: ignore[return-value]


def _by_pillow(
    pixels: NDArray[np.uint8], height: int, width: int, method: Pillow.Resampling
) -> NDArray[np.uint8]:
    single = pixels.shape[2] == 1
    picture = Pillow.fromarray(np.ascontiguousarray(pixels[..., 0] if single else pixels))
    result = np.asarray(picture.resize((width, height), method))
    return result.reshape(height, width, pixels.shape[2])

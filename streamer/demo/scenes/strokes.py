"""Letters and digits as strokes, so that a sign looks the same with every OpenCV font engine."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Points = NDArray[np.float64]

_SHIFT = 4  # OpenCV's fixed-point coordinates: 1/16 pixel


def arc(
    centre: tuple[float, float], radii: tuple[float, float], start: float, end: float
) -> Points:
    """Sample an elliptic arc; angles in degrees, clockwise from the right as y points down."""
    angles = np.radians(np.linspace(start, end, 48))
    x = centre[0] + radii[0] * np.cos(angles)
    return np.stack([x, centre[1] + radii[1] * np.sin(angles)], axis=1)


def line(*points: tuple[float, float]) -> Points:
    """Make a polyline."""
    return np.array(points, dtype=np.float64)


_GLYPHS: dict[str, tuple[Points, ...]] = {
    "0": (arc((0.5, 0.5), (0.45, 0.5), 0, 360),),
    "1": (line((0.2, 0.22), (0.6, 0.0), (0.6, 1.0)),),
    "3": (
        arc((0.45, 0.26), (0.42, 0.26), -155, 90),
        arc((0.45, 0.75), (0.47, 0.26), -90, 155),
    ),
    "5": (
        np.concatenate(
            [line((0.88, 0.0), (0.2, 0.0), (0.12, 0.5)), arc((0.45, 0.68), (0.46, 0.32), -120, 150)]
        ),
    ),
    "8": (
        arc((0.5, 0.25), (0.38, 0.25), 0, 360),
        arc((0.5, 0.75), (0.46, 0.26), 0, 360),
    ),
    "O": (arc((0.5, 0.5), (0.45, 0.5), 0, 360),),
    "P": (
        line((0.15, 1.0), (0.15, 0.0), (0.5, 0.0)),
        arc((0.5, 0.28), (0.42, 0.28), -90, 90),
        line((0.5, 0.56), (0.15, 0.56)),
    ),
    "S": (
        np.concatenate(
            [
                arc((0.5, 0.25), (0.42, 0.25), -20, -270),
                arc((0.5, 0.75), (0.44, 0.25), -90, 160),
            ]
        ),
    ),
    "T": (line((0.0, 0.0), (1.0, 0.0)), line((0.5, 0.0), (0.5, 1.0))),
}


def fixed(points: Points) -> NDArray[np.int32]:
    """Give points in the fixed-point form that OpenCV's drawing takes with `shift`."""
    return np.round(points * (1 << _SHIFT)).astype(np.int32).reshape(-1, 1, 2)


def fill(image: Image, points: Points, colour: Sequence[float]) -> None:
    """Fill a polygon, edges smoothed."""
    cv2.fillPoly(image, [fixed(points)], tuple(colour), cv2.LINE_AA, _SHIFT)


def stroke(image: Image, points: Points, colour: Sequence[float], width: float) -> None:
    """Draw a polyline, edges smoothed."""
    thickness = max(1, round(width))
    cv2.polylines(image, [fixed(points)], False, tuple(colour), thickness, cv2.LINE_AA, _SHIFT)  # noqa: FBT003 - OpenCV's own order


def write(
    image: Image,
    text: str,
    box: tuple[float, float, float, float],
    colour: Sequence[float],
    width: float,
) -> None:
    """Write text so that it fills a box (left, top, right, bottom) in pixels."""
    left, top, right, bottom = box
    advance = (right - left) / len(text)
    for index, letter in enumerate(text):
        scale = np.array([advance * 0.74, bottom - top])
        origin = np.array([left + advance * (index + 0.13), top])
        for points in _GLYPHS[letter]:
            stroke(image, points * scale + origin, colour, width)

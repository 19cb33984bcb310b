"""Things that stand in a street and are no road signs; each world has its own."""

from collections.abc import Callable

import cv2
import numpy as np

from streamer.demo.scenes.strokes import Image, arc, fill, line, stroke, write
from streamer.demo.scenes.textures import chance, colour, near

Drawing = Callable[[np.random.Generator, Image, tuple[float, float], float], None]
"""Draws on a picture, around a point, within about this many pixels of it."""

_GREY = (140, 140, 140)


def _any(rng: np.random.Generator) -> tuple[float, ...]:
    """Give a colour; half of the time one that signs have too."""
    if chance(rng, 0.5):
        return tuple(map(float, colour(rng)))
    bases = ((36, 28, 190), (168, 82, 20), (25, 185, 238), (225, 225, 225))
    return tuple(map(float, near(rng, bases[int(rng.integers(4))])))


def _disc(rng: np.random.Generator, image: Image, at: tuple[float, float], reach: float) -> None:
    fill(image, arc(at, (reach, reach), 0, 360), _any(rng))
    if chance(rng, 0.4):
        inner = reach * rng.uniform(0.3, 0.8)
        fill(image, arc(at, (inner, inner), 0, 360), _any(rng))


def _triangle(
    rng: np.random.Generator, image: Image, at: tuple[float, float], reach: float
) -> None:
    turn = rng.uniform(0, 360)
    corners = arc(at, (reach, reach), turn, turn + 240)[[0, 24, 47]]
    fill(image, corners, _any(rng))


def _plate(rng: np.random.Generator, image: Image, at: tuple[float, float], reach: float) -> None:
    half = np.array([reach, reach * rng.uniform(0.35, 1.2)])
    corners = line((-1, -1), (1, -1), (1, 1), (-1, 1)) * half + at
    fill(image, corners, _any(rng))
    ink = _any(rng)
    for row in np.linspace(-0.6, 0.6, int(rng.integers(1, 5))):
        ends = line((-0.8, row), (rng.uniform(0.1, 0.8), row)) * half + at
        stroke(image, ends, ink, reach * rng.uniform(0.05, 0.2))


def _lamp(rng: np.random.Generator, image: Image, at: tuple[float, float], reach: float) -> None:
    fill(image, line((-0.4, -1), (0.4, -1), (0.4, 1), (-0.4, 1)) * reach + at, (30, 30, 30))
    lit = int(rng.integers(3))
    for index, tint in enumerate(((40, 40, 220), (40, 190, 240), (90, 200, 60))):
        glow = tint if index == lit else tuple(c * 0.3 for c in tint)
        centre = (at[0], at[1] + (index - 1) * reach * 0.62)
        fill(image, arc(centre, (reach * 0.27, reach * 0.27), 0, 360), glow)


def _back(rng: np.random.Generator, image: Image, at: tuple[float, float], reach: float) -> None:
    grey = near(rng, _GREY, 30)
    tint = tuple(map(float, grey))
    if chance(rng, 0.5):
        fill(image, arc(at, (reach, reach), 0, 360), tint)
    else:
        fill(image, line((-1, 0.8), (1, 0.8), (0, -0.9)) * reach + at, tint)
    bar = line((-0.6, 0), (0.6, 0)) * reach + at
    stroke(image, bar, tuple(map(float, grey * 0.7)), reach * 0.12)


def _scrap(rng: np.random.Generator, image: Image, at: tuple[float, float], reach: float) -> None:
    text = "".join(rng.choice(list("0135STOP8"), 2))
    half = reach * 0.7
    write(
        image,
        text,
        (at[0] - reach, at[1] - half, at[0] + reach, at[1] + half),
        _any(rng),
        reach / 5,
    )


def _billboard(
    rng: np.random.Generator, image: Image, at: tuple[float, float], reach: float
) -> None:
    half = np.array([reach * 1.3, reach * 0.8])
    fill(image, line((-1, -1), (1, -1), (1, 1), (-1, 1)) * half + at, _any(rng))
    shape = tuple(map(float, colour(rng)))
    fill(image, arc((at[0] - half[0] * 0.5, at[1]), (half[0] * 0.3, half[1] * 0.6), 0, 360), shape)
    for row in (-0.4, 0.0, 0.4):
        ends = line((0.05, row), (rng.uniform(0.4, 0.9), row)) * half + at
        stroke(image, ends, shape, reach * 0.1)


def _star(rng: np.random.Generator, image: Image, at: tuple[float, float], reach: float) -> None:
    corners = int(rng.integers(5, 9))
    angles = np.radians(np.arange(2 * corners) * 180 / corners + rng.uniform(0, 90))
    radii = np.where(np.arange(2 * corners) % 2, reach * rng.uniform(0.4, 0.75), reach)
    fill(image, np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1) + at, _any(rng))


def _car(rng: np.random.Generator, image: Image, at: tuple[float, float], reach: float) -> None:
    body = tuple(map(float, colour(rng)))
    fill(image, line((-1, 0), (1, 0), (1, 0.5), (-1, 0.5)) * reach + at, body)
    fill(image, line((-0.7, 0), (-0.45, -0.45), (0.45, -0.45), (0.7, 0)) * reach + at, body)
    fill(
        image, line((-0.5, -0.02), (-0.38, -0.36), (0.38, -0.36), (0.5, -0.02)) * reach + at, _GREY
    )
    for side in (-0.8, 0.8):
        centre = (at[0] + side * reach, at[1] + 0.15 * reach)
        fill(image, arc(centre, (reach * 0.12, reach * 0.1), 0, 360), (40, 30, 200))
        wheel = (at[0] + side * 0.7 * reach, at[1] + 0.5 * reach)
        fill(image, arc(wheel, (reach * 0.22, reach * 0.22), 0, 360), (25, 25, 25))


def _clock(rng: np.random.Generator, image: Image, at: tuple[float, float], reach: float) -> None:
    rim = tuple(map(float, colour(rng, 0, 90)))
    fill(image, arc(at, (reach, reach), 0, 360), rim)
    fill(image, arc(at, (reach * 0.85, reach * 0.85), 0, 360), (225, 232, 232))
    for length in (0.45, 0.7):
        angle = rng.uniform(0, 2 * np.pi)
        tip = (at[0] + reach * length * np.cos(angle), at[1] + reach * length * np.sin(angle))
        stroke(image, line(at, tip), (20, 20, 20), reach * 0.09)


def _balloons(
    rng: np.random.Generator, image: Image, at: tuple[float, float], reach: float
) -> None:
    for _ in range(int(rng.integers(2, 6))):
        middle = (at[0] + rng.normal(0, reach * 0.5), at[1] + rng.normal(0, reach * 0.4))
        radius = reach * rng.uniform(0.25, 0.5)
        stroke(image, line(middle, (at[0], at[1] + reach * 1.5)), (90, 90, 90), 1)
        fill(image, arc(middle, (radius * 0.8, radius), 0, 360), _any(rng))
        shine = (middle[0] - radius * 0.3, middle[1] - radius * 0.4)
        fill(image, arc(shine, (radius * 0.15, radius * 0.2), 0, 360), (240, 240, 240))


def _placard(rng: np.random.Generator, image: Image, at: tuple[float, float], reach: float) -> None:
    tint = tuple(map(float, near(rng, (70, 150, 60), 40)))
    fill(
        image, line((-1.2, -0.5), (0.8, -0.5), (1.3, 0), (0.8, 0.5), (-1.2, 0.5)) * reach + at, tint
    )
    stroke(image, line((-0.9, 0), (0.6, 0)) * reach + at, (235, 235, 235), reach * 0.15)


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "train": (_disc, _triangle, _plate, _lamp, _back, _scrap),
    "held-out": (_billboard, _star, _car, _clock, _balloons, _placard),
}
"""What stands about in each world."""


def distract(rng: np.random.Generator, world: str, image: Image) -> None:
    """Draw up to six things that are no signs into a picture, in place."""
    height, width = image.shape[:2]
    drawings = DRAWINGS[world]
    for _ in range(int(rng.integers(0, 7))):
        reach = float(np.exp(rng.uniform(np.log(0.02), np.log(0.12)))) * width
        at = (float(rng.uniform(0, width)), float(rng.uniform(0.1, 0.95) * height))
        if chance(rng, 0.6):
            foot = (int(at[0]), int(min(height, at[1] + reach * rng.uniform(2, 6))))
            cv2.line(image, (int(at[0]), int(at[1])), foot, _GREY, max(1, int(reach * 0.1)))
        drawings[int(rng.integers(len(drawings)))](rng, image, at, reach)

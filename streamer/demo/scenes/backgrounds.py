"""Backgrounds: two disjoint sets of families, one to train on and one held out."""

from collections.abc import Callable

import cv2
import numpy as np

from streamer.demo.scenes.strokes import Image, line
from streamer.demo.scenes.textures import (
    Colours,
    Size,
    chance,
    colour,
    gradient,
    grained,
    near,
    noise,
    pixels,
    tinted,
)

Family = Callable[[np.random.Generator, Size], Image]


def _bgr(tint: Colours) -> tuple[float, ...]:
    return tuple(float(c) for c in tint)


def _sky(rng: np.random.Generator, size: Size) -> Image:
    top, bottom = near(rng, (205, 160, 110), 45), near(rng, (225, 215, 205), 30)
    sky = gradient(size, top, bottom)
    clouds = np.clip(noise(rng, size, size[0] / 3) * 3 - rng.uniform(1.2, 2.2), 0, 1)
    return pixels(sky + clouds[..., None] * 50)


def _road(rng: np.random.Generator, image: Image, horizon: int) -> None:
    height, width = image.shape[:2]
    ground = near(rng, (90, 110, 100), 40)
    image[horizon:] = ground.astype(np.uint8)
    middle = rng.uniform(0.25, 0.75) * width
    near_half, far_half = rng.uniform(0.35, 0.8) * width, rng.uniform(0.01, 0.06) * width
    corners = [
        (middle - far_half, horizon),
        (middle + far_half, horizon),
        (middle + near_half, height),
        (middle - near_half, height),
    ]
    grey = rng.uniform(55, 125)
    cv2.fillPoly(image, [np.array(corners, np.int32)], (grey, grey, grey))
    for low, high in ((0.1, 0.2), (0.35, 0.5), (0.7, 0.95)):
        top, bottom = horizon + low * (height - horizon), horizon + high * (height - horizon)
        half_top, half_bottom = 0.03 * near_half * low, 0.03 * near_half * high
        mark = line(
            (middle - half_top, top),
            (middle + half_top, top),
            (middle + half_bottom, bottom),
            (middle - half_bottom, bottom),
        )
        cv2.fillPoly(image, [mark.astype(np.int32)], (215, 220, 220))


def _town(rng: np.random.Generator, size: Size) -> Image:
    image = _sky(rng, size)
    width, height = size
    horizon = int(rng.uniform(0.5, 0.75) * height)
    left = 0.0
    while left < width:
        wide = rng.uniform(0.12, 0.35) * width
        top = int(rng.uniform(0.0, 0.45) * height)
        right = int(left + wide)
        cv2.rectangle(image, (int(left), top), (right, horizon), _bgr(colour(rng, 50, 220)), -1)
        pane, step = _bgr(colour(rng, 20, 190)), int(rng.uniform(0.05, 0.11) * width)
        for x in range(int(left) + step // 2, right - step // 2, step):
            for y in range(top + step // 2, horizon - step, int(step * 1.3)):
                cv2.rectangle(image, (x, y), (x + step // 2, y + int(step * 0.7)), pane, -1)
        left += wide + (rng.uniform(0, 0.15) * width if chance(rng, 0.4) else 0)
    _road(rng, image, horizon)
    return grained(rng, image, rng.uniform(5, 22), 6)


def _park(rng: np.random.Generator, size: Size) -> Image:
    image = _sky(rng, size)
    width, height = size
    horizon = int(rng.uniform(0.55, 0.8) * height)
    image[horizon:] = near(rng, (60, 130, 95), 35).astype(np.uint8)
    for _ in range(int(rng.integers(3, 9))):
        x, crown = rng.uniform(0, width), rng.uniform(0.1, 0.3) * height
        top = rng.uniform(0.05, 0.5) * height
        trunk = max(2, int(crown * 0.12))
        cv2.line(
            image, (int(x), int(top)), (int(x), horizon + 4), _bgr(near(rng, (45, 65, 85))), trunk
        )
        leaf = near(rng, (45, 110, 70), 40)
        for _ in range(14):
            at = (int(x + rng.normal(0, crown * 0.5)), int(top + rng.normal(0, crown * 0.45)))
            shade = _bgr(np.clip(leaf * rng.uniform(0.6, 1.3), 0, 255).astype(np.float32))
            cv2.circle(image, at, max(2, int(crown * rng.uniform(0.2, 0.5))), shade, -1)
    if chance(rng, 0.6):
        _road(rng, image, horizon)
    return grained(rng, image, rng.uniform(15, 45), 5)


def _surface(rng: np.random.Generator, size: Size) -> Image:
    dark = colour(rng, 0, 150)
    bright = np.clip(dark + rng.uniform(20, 130, 3), 0, 255).astype(np.float32)
    grain = rng.uniform(0.02, 0.5) * size[0]
    image = tinted(noise(rng, size, grain, int(rng.integers(2, 6))), dark, bright)
    return grained(rng, image.astype(np.uint8), rng.uniform(0, 35), 3)


def _clutter(rng: np.random.Generator, size: Size) -> Image:
    image = gradient(size, colour(rng), colour(rng)).astype(np.uint8)
    for _ in range(int(rng.integers(10, 45))):
        centre = rng.uniform(0, 1, 2) * size
        reach = rng.uniform(0.02, 0.25) * size[0]
        tint = _bgr(colour(rng))
        if chance(rng, 0.2):
            axes = (int(reach), int(reach * rng.uniform(0.3, 1)))
            at = (int(centre[0]), int(centre[1]))
            cv2.ellipse(image, at, axes, rng.uniform(0, 180), 0, 360, tint, -1, cv2.LINE_AA)
        else:
            points = centre + rng.uniform(-reach, reach, (int(rng.integers(3, 7)), 2))
            cv2.fillPoly(image, [points.astype(np.int32)], tint, cv2.LINE_AA)
    return grained(rng, image, rng.uniform(0, 25), 5)


def _stripes(rng: np.random.Generator, size: Size) -> Image:
    x, y = np.meshgrid(np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32))
    turn, period = rng.uniform(0, np.pi), rng.uniform(5, 70)
    wave = np.sin((x * np.cos(turn) + y * np.sin(turn)) * 2 * np.pi / period)
    sharp = np.clip(wave * rng.uniform(1, 8) * 0.5 + 0.5, 0, 1).astype(np.float32)
    image = tinted(sharp, colour(rng), colour(rng))
    image *= 0.6 + 0.4 * noise(rng, size, size[0] / 2)[..., None]
    return grained(rng, image.astype(np.uint8), rng.uniform(0, 25), 4)


def _plain(rng: np.random.Generator, size: Size) -> Image:
    image = gradient(size, colour(rng), colour(rng)).astype(np.uint8)
    return grained(rng, image, rng.uniform(0, 12), 60)


def _countryside(rng: np.random.Generator, size: Size) -> Image:
    image = _sky(rng, size)
    width, height = size
    x = np.arange(width)
    base = rng.uniform(0.3, 0.5) * height
    for _ in range(int(rng.integers(3, 6))):
        phase, period = rng.uniform(0, 6), rng.uniform(0.5, 2) * width
        crest = base + rng.uniform(0.02, 0.07) * height * np.sin(2 * np.pi * x / period + phase)
        below = np.arange(height)[:, None] >= crest[None, :]
        image[below] = near(rng, (70, 150, 140), 55).astype(np.uint8)
        base += rng.uniform(0.08, 0.2) * height
    for post in range(int(rng.integers(0, 12)), width, int(rng.integers(14, 40))):
        foot = int(0.9 * height)
        cv2.line(image, (post, foot), (post, int(foot - 0.12 * height)), (60, 75, 90), 3)
    return grained(rng, image, rng.uniform(10, 30), 8)


def _brickwork(rng: np.random.Generator, size: Size) -> Image:
    width, height = size
    image = np.full((height, width, 3), rng.uniform(120, 200), np.uint8)
    tall = int(rng.integers(7, 18))
    wide = int(tall * rng.uniform(2, 3))
    brick = near(rng, (70, 85, 150), 45)
    for row, y in enumerate(range(0, height, tall)):
        for x in range(-wide + (row % 2) * wide // 2, width, wide):
            shade = _bgr(np.clip(brick * rng.uniform(0.75, 1.2), 0, 255).astype(np.float32))
            cv2.rectangle(image, (x, y), (x + wide - 2, y + tall - 2), shade, -1)
    pavement = int(rng.uniform(0.75, 1.0) * height)
    image[pavement:] = near(rng, (150, 155, 160), 20).astype(np.uint8)
    return grained(rng, image, rng.uniform(8, 24), 4)


def _depot(rng: np.random.Generator, size: Size) -> Image:
    width, height = size
    image = gradient(size, near(rng, (190, 175, 160), 40), near(rng, (120, 122, 125), 25))
    x = np.arange(width, dtype=np.float32)
    for top in np.arange(rng.uniform(0, 0.2), 0.7, 0.22):
        left = rng.uniform(-0.3, 0.1) * width
        while left < width:
            right = left + rng.uniform(0.3, 0.6) * width
            inside = (x >= left) & (x < right - 3)
            ribs = 1 + 0.15 * np.sign(np.sin(x[inside] * rng.uniform(0.7, 1.6)))
            rows = slice(int(top * height), int((top + 0.21) * height))
            image[rows, inside] = colour(rng, 30, 190) * ribs[:, None]
            left = right
    return grained(rng, pixels(image), rng.uniform(5, 20), 10)


def _village(rng: np.random.Generator, size: Size) -> Image:
    image = _sky(rng, size)
    width, height = size
    ground = int(rng.uniform(0.7, 0.85) * height)
    image[ground:] = near(rng, (215, 212, 208), 30).astype(np.uint8)
    for _ in range(int(rng.integers(3, 7))):
        x, wide = rng.uniform(-0.1, 0.95) * width, rng.uniform(0.12, 0.35) * width
        eaves = ground - rng.uniform(0.1, 0.3) * height
        wall = _bgr(near(rng, (170, 195, 205), 40))
        cv2.rectangle(image, (int(x), int(eaves)), (int(x + wide), ground), wall, -1)
        ridge = (x + wide / 2, eaves - rng.uniform(0.08, 0.22) * height)
        roof = line((x - 4, eaves), ridge, (x + wide + 4, eaves))
        cv2.fillPoly(image, [roof.astype(np.int32)], _bgr(near(rng, (60, 60, 110), 40)))
        door = (int(x + wide * 0.4), int(ground - 0.09 * height))
        cv2.rectangle(image, door, (int(x + wide * 0.6), ground), _bgr(colour(rng, 20, 130)), -1)
    return grained(rng, image, rng.uniform(5, 20), 5)


FAMILIES: dict[str, tuple[Family, ...]] = {
    "train": (_town, _town, _park, _park, _surface, _clutter, _stripes, _plain),
    "held-out": (_countryside, _brickwork, _depot, _village),
}
"""The families of each world; one named twice comes twice as often."""


def background(rng: np.random.Generator, world: str, size: Size) -> Image:
    """Make a background of one of a world's families, BGR uint8 [height, width, 3]."""
    families = FAMILIES[world]
    return families[int(rng.integers(len(families)))](rng, size)

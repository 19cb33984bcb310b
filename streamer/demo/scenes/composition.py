"""Scenes with signs in them, and the crops a detector would cut from them."""

from typing import Literal, NamedTuple

import cv2
import numpy as np

from streamer.demo.scenes.backgrounds import background
from streamer.demo.scenes.camera import taken
from streamer.demo.scenes.distractors import distract
from streamer.demo.scenes.faces import SIDE, face
from streamer.demo.scenes.kinds import KINDS, LABELS, label_of
from streamer.demo.scenes.strokes import Image
from streamer.demo.scenes.textures import Size, chance

World = Literal["train", "held-out"]
SIZE: Size = (320, 256)
SMALLEST = 16
"""Edge in pixels of the smallest sign in a scene of `SIZE`; it grows with wider scenes."""

_LARGEST = 112
_SUPERSAMPLING = 3
_HALF = 128  # a pixel half covered by a sign is inside its box


class PlacedSign(NamedTuple):
    """A sign in a scene.

    Attributes:
        label: what the detector calls it.
        xmin: left edge in pixels, inside.
        ymin: upper edge, inside.
        xmax: right edge, outside.
        ymax: lower edge, outside.
        kind: what the classifier calls it.
    """

    label: str
    xmin: int
    ymin: int
    xmax: int
    ymax: int
    kind: str


def any_kind(rng: np.random.Generator) -> str:
    """Draw a kind such that every label is as frequent as every other."""
    label = LABELS[int(rng.integers(len(LABELS)))]
    kinds = [kind for kind in KINDS if label_of(kind) == label]
    return kinds[int(rng.integers(len(kinds)))]


def _seen(rng: np.random.Generator, kind: str, side: float) -> tuple[Image, Image]:
    """Draw a sign as seen from the street: turned, foreshortened, trimmed to its outline."""
    flat = face(rng, kind)
    canvas = int(side * _SUPERSAMPLING * 1.6)
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float64)
    corners += rng.uniform(-0.07, 0.07, (4, 2))
    corners[:, 0] *= np.cos(np.radians(rng.uniform(0, 38)))
    turn = np.radians(np.clip(rng.normal(0, 5), -14, 14))
    turning = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    target = corners @ turning * side * _SUPERSAMPLING / 2 + canvas / 2
    source = np.array([(0, 0), (SIDE, 0), (SIDE, SIDE), (0, SIDE)], np.float32)
    homography = cv2.getPerspectiveTransform(source, target.astype(np.float32))
    warped = [cv2.warpPerspective(plane, homography, (canvas, canvas)) for plane in flat]
    seen = (canvas // _SUPERSAMPLING, canvas // _SUPERSAMPLING)
    colours, shape = (cv2.resize(plane, seen, interpolation=cv2.INTER_AREA) for plane in warped)
    rows, columns = np.nonzero(shape >= _HALF)
    window = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return np.ascontiguousarray(colours[window]), np.ascontiguousarray(shape[window])


def _paste(rng: np.random.Generator, image: Image, sign: tuple[Image, Image], at: Size) -> None:
    """Lay a sign over the picture, worn, sometimes a little hidden by a twig."""
    colours, shape = sign
    height, width = shape.shape
    part = image[at[1] : at[1] + height, at[0] : at[0] + width]
    cover = (shape.astype(np.float32) / 255)[..., None]
    wear = rng.uniform(0.88, 1.08)
    mixed = np.clip(colours * wear, 0, 255) * cover + part * (1 - cover)
    part[:] = mixed.astype(np.uint8)
    if chance(rng, 0.12):
        ends = rng.uniform(0, 1, (2, 2)) * (width, height)
        twig = tuple(float(c) for c in rng.uniform(20, 110, 3))
        start, end = ((int(x), int(y)) for x, y in ends)
        cv2.line(part, start, end, twig, max(1, width // 14), cv2.LINE_AA)


def _free(
    rng: np.random.Generator, size: Size, sign: Size, placed: list[PlacedSign]
) -> tuple[int, int] | None:
    """Find a place for a sign: inside the picture and clear of the others."""
    for _ in range(20):
        x = int(rng.integers(0, size[0] - sign[0] + 1))
        y = int(rng.integers(0, size[1] - sign[1] + 1))
        apart = (
            x >= p.xmax + 2 or p.xmin >= x + sign[0] + 2 or y >= p.ymax + 2
            or p.ymin >= y + sign[1] + 2
            for p in placed
        )  # fmt: skip
        if all(apart):
            return x, y
    return None


def _post(
    rng: np.random.Generator, image: Image, placed: list[PlacedSign], at: Size, sign: Size
) -> None:
    """Draw the post a sign stands on, where it would not cross another sign."""
    x, y = at[0] + sign[0] // 2, at[1] + sign[1] // 2
    half = max(1, sign[0] // 24)
    foot = min(image.shape[0], int(y + sign[1] * rng.uniform(1.5, 5)))
    crossed = any(p.xmin - half <= x <= p.xmax + half and p.ymax > y for p in placed)
    if not crossed:
        grey = rng.uniform(60, 190)
        cv2.rectangle(image, (x - half, y), (x + half, foot), (grey, grey, grey), -1)


def scene(
    rng: np.random.Generator, world: World = "train", size: Size = SIZE
) -> tuple[Image, list[PlacedSign]]:
    """Compose a street scene.

    Args:
        rng: decides everything; the same state gives the same scene.
        world: `held-out` shares no background, distractor or light range with `train`.
        size: (width, height) in pixels.

    Returns:
        BGR uint8 [height, width, 3], and none to five signs, at least 16 px high and wide.
    """
    image = background(rng, world, size)
    distract(rng, world, image)
    placed: list[PlacedSign] = []
    scale = max(1.0, size[0] / SIZE[0])
    smallest = SMALLEST * scale
    largest = min(_LARGEST * scale, 0.6 * min(size))
    for _ in range(int(rng.integers(0, 6))):
        kind = any_kind(rng)
        side = float(np.exp(rng.uniform(np.log(smallest * 1.12), np.log(largest))))
        sign = _seen(rng, kind, side)
        height, width = sign[1].shape
        at = _free(rng, size, (width, height), placed)
        if min(width, height) < smallest or at is None:
            continue
        if chance(rng, 0.7):
            _post(rng, image, placed, at, (width, height))
        _paste(rng, image, sign, at)
        placed.append(PlacedSign(label_of(kind), at[0], at[1], at[0] + width, at[1] + height, kind))
    return taken(rng, world, image), placed


def cut(rng: np.random.Generator, image: Image, sign: PlacedSign) -> Image:
    """Cut a sign out as a detector would: each edge off by -6 to +12 % of the sign's size."""
    width, height = sign.xmax - sign.xmin, sign.ymax - sign.ymin
    out = rng.uniform(-0.06, 0.12, 4)
    left = max(0, round(sign.xmin - out[0] * width))
    top = max(0, round(sign.ymin - out[1] * height))
    right = min(image.shape[1], round(sign.xmax + out[2] * width))
    bottom = min(image.shape[0], round(sign.ymax + out[3] * height))
    return image[top:bottom, left:right]


def crops(rng: np.random.Generator, world: World = "train") -> list[tuple[Image, str]]:
    """Compose a scene and give its signs as crops, each with its kind."""
    image, signs = scene(rng, world)
    return [(cut(rng, image, sign), sign.kind) for sign in signs]

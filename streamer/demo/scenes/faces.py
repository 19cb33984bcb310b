"""The faces of the signs, drawn flat and head-on."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from streamer.demo.scenes.strokes import Image, Points, arc, fill, line, stroke, write
from streamer.demo.scenes.textures import chance

SIDE = 160
_MIDDLE = SIDE / 2

Colour = tuple[float, ...]


class Face(NamedTuple):
    """A sign head-on.

    Attributes:
        colours: uint8 [SIDE, SIDE, 3], BGR.
        shape: uint8 [SIDE, SIDE], 255 where the sign is.
    """

    colours: Image
    shape: Image


class _Paint(NamedTuple):
    """The paints of one sign: no two signs are of the same batch or age."""

    red: Colour
    blue: Colour
    yellow: Colour
    white: Colour
    black: Colour


def _paint(rng: np.random.Generator) -> _Paint:
    def near(*bgr: int) -> Colour:
        return tuple(float(np.clip(c + rng.uniform(-18, 18), 0, 255)) for c in bgr)

    red, blue, yellow = near(36, 28, 190), near(168, 82, 20), near(25, 185, 238)
    return _Paint(red, blue, yellow, near(236, 236, 236), near(22, 22, 22))


def _regular(corners: int, radius: float, turn: float) -> Points:
    angles = np.radians(np.arange(corners) * 360 / corners + turn)
    return np.stack([_MIDDLE + radius * np.cos(angles), _MIDDLE + radius * np.sin(angles)], axis=1)


def _disc(radius: float) -> Points:
    return arc((_MIDDLE, _MIDDLE), (radius, radius), 0, 360)


def _square(half: float) -> Points:
    low, high = _MIDDLE - half, _MIDDLE + half
    return line((low, low), (high, low), (high, high), (low, high))


def _triangle(scale: float, *, down: bool) -> Points:
    points = line((-76, 64), (76, 64), (0, -68)) * scale
    return points * (1, -1 if down else 1) + (
        _MIDDLE,
        _MIDDLE + (-18 if down else 18) * (1 - scale),
    )


def _blank(outline: Points, colour: Colour) -> Face:
    colours = np.empty((SIDE, SIDE, 3), np.uint8)
    colours[:] = colour
    shape = np.zeros((SIDE, SIDE), np.uint8)
    fill(shape, outline, (255.0,))
    return Face(colours, shape)


def _stop(rng: np.random.Generator, paint: _Paint) -> Face:
    face = _blank(_regular(8, 80, 22.5), paint.white)
    fill(face.colours, _regular(8, 80 - rng.uniform(4, 8), 22.5), paint.red)
    half = rng.uniform(19, 26)
    write(face.colours, "STOP", (16, _MIDDLE - half, 144, _MIDDLE + half), paint.white, 10)
    return face


def _yield(rng: np.random.Generator, paint: _Paint) -> Face:
    face = _blank(_triangle(1.0, down=True), paint.red)
    fill(face.colours, _triangle(rng.uniform(0.48, 0.62), down=True), paint.white)
    return face


def _no_entry(rng: np.random.Generator, paint: _Paint) -> Face:
    face = _blank(_disc(78), paint.white)
    fill(face.colours, _disc(78 - rng.uniform(0, 6)), paint.red)
    half, height = rng.uniform(48, 58), rng.uniform(11, 16)
    left, right = _MIDDLE - half, _MIDDLE + half
    top, bottom = _MIDDLE - height, _MIDDLE + height
    fill(
        face.colours, line((left, top), (right, top), (right, bottom), (left, bottom)), paint.white
    )
    return face


def _speed_limit(rng: np.random.Generator, paint: _Paint, limit: str) -> Face:
    face = _blank(_disc(78), paint.red)
    inner = rng.uniform(56, 62)
    fill(face.colours, _disc(inner), paint.white)
    half_height = rng.uniform(28, 34)
    narrow = len("100") == len(limit)
    half_width = rng.uniform(46, 50) if narrow else rng.uniform(40, 47)
    box = (_MIDDLE - half_width, _MIDDLE - half_height, _MIDDLE + half_width, _MIDDLE + half_height)
    write(face.colours, limit, box, paint.black, rng.uniform(10, 13) - 2 * narrow)
    return face


def _warning(rng: np.random.Generator, paint: _Paint, what: str) -> Face:
    face = _blank(_triangle(1.0, down=False), paint.red)
    ground = paint.white if chance(rng, 0.7) else paint.yellow
    fill(face.colours, _triangle(rng.uniform(0.66, 0.74), down=False), ground)
    width = rng.uniform(10, 13)
    if what == "bend":
        points = np.concatenate(
            [line((68, 124)), arc((90, 96), (22, 20), 180, 250), line((98, 62))]
        )
        stroke(face.colours, points, paint.black, width)
    elif what == "crossroads":
        stroke(face.colours, line((80, 62), (80, 128)), paint.black, width)
        stroke(face.colours, line((52, 102), (108, 102)), paint.black, width)
    else:
        humps = [arc((x, 122), (17, 26), 180, 360) for x in (60, 100)]
        fill(face.colours, np.concatenate(humps), paint.black)
        fill(face.colours, line((42, 120), (118, 120), (118, 129), (42, 129)), paint.black)
    return face


def _priority(rng: np.random.Generator, paint: _Paint) -> Face:
    face = _blank(_regular(4, 79, 0), paint.white)
    fill(face.colours, _regular(4, rng.uniform(54, 64), 0), paint.yellow)
    return face


def _mandatory(rng: np.random.Generator, paint: _Paint, way: str) -> Face:
    face = _blank(_disc(78), paint.white)
    fill(face.colours, _disc(78 - rng.uniform(2, 6)), paint.blue)
    tail, head, barb = rng.uniform(44, 52), rng.uniform(46, 52), rng.uniform(28, 34)
    half = rng.uniform(8, 11)
    up = line(
        (-half, tail), (half, tail), (half, barb - head), (barb, barb - head), (0, -head),
        (-barb, barb - head), (-half, barb - head),
    )  # fmt: skip
    turn = {
        "ahead": (up[:, 0], up[:, 1]),
        "left": (up[:, 1], up[:, 0]),
        "right": (-up[:, 1], up[:, 0]),
    }
    fill(face.colours, np.stack(turn[way], axis=1) + _MIDDLE, paint.white)
    return face


def _crossing(rng: np.random.Generator, paint: _Paint) -> Face:
    face = _blank(_square(74), paint.white)
    fill(face.colours, _square(74 - rng.uniform(1, 5)), paint.blue)
    fill(face.colours, line((80, 24), (136, 128), (24, 128)), paint.white)
    fill(face.colours, arc((82, 58), (8, 8), 0, 360), paint.black)
    lean = rng.uniform(-3, 3)
    stroke(face.colours, line((82, 68), (80 + lean, 92)), paint.black, 11)
    stroke(face.colours, line((60, 118), (80 + lean, 92), (100, 118)), paint.black, 7)
    stroke(face.colours, line((64, 84), (82, 72), (98, 86)), paint.black, 5)
    return face


def _parking(rng: np.random.Generator, paint: _Paint) -> Face:
    face = _blank(_square(74), paint.white)
    fill(face.colours, _square(74 - rng.uniform(1, 5)), paint.blue)
    half = rng.uniform(26, 33)
    write(
        face.colours,
        "P",
        (_MIDDLE - half, 36, _MIDDLE + half, 124),
        paint.white,
        rng.uniform(14, 19),
    )
    return face


def _no_stopping(rng: np.random.Generator, paint: _Paint) -> Face:
    face = _blank(_disc(78), paint.red)
    inner = rng.uniform(58, 64)
    fill(face.colours, _disc(inner), paint.blue)
    reach, width = inner * 0.76, rng.uniform(14, 18)
    for side in (-1, 1):
        ends = line((-reach, -reach * side), (reach, reach * side)) + _MIDDLE
        stroke(face.colours, ends, paint.red, width)
    return face


_DRAWN: dict[str, Callable[[np.random.Generator, _Paint], Face]] = {
    "stop": _stop,
    "yield": _yield,
    "no-entry": _no_entry,
    "priority": _priority,
    "crossing": _crossing,
    "parking": _parking,
    "no-stopping": _no_stopping,
}
_DRAWN_WITH: dict[str, Callable[[np.random.Generator, _Paint, str], Face]] = {
    "speed-limit": _speed_limit,
    "warning": _warning,
    "mandatory": _mandatory,
}


def face(rng: np.random.Generator, kind: str) -> Face:
    """Draw the face of a kind, with paints, proportions and age of its own."""
    paint = _paint(rng)
    if kind in _DRAWN:
        drawn = _DRAWN[kind](rng, paint)
    else:
        family, _, variant = kind.rpartition("-")
        drawn = _DRAWN_WITH[family](rng, paint, variant)
    faded = rng.uniform(0, 0.22)
    colours = drawn.colours.astype(np.float32) * (1 - faded) + rng.uniform(90, 170) * faded
    return Face(colours.astype(np.uint8), drawn.shape)

"""Noise, gradients and colours that the pictures are made of."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.demo.scenes.strokes import Image

Plane = NDArray[np.float32]
Colours = NDArray[np.float32]
Size = tuple[int, int]
"""(width, height) in pixels, OpenCV's order."""


def chance(rng: np.random.Generator, odds: float) -> bool:
    """Come true with these odds."""
    return bool(rng.random() < odds)


def pixels(values: NDArray[np.floating[Any]]) -> Image:
    """Clip to what a pixel can hold; fractions are cut off."""
    clipped: Image = np.clip(values, 0, 255).astype(np.uint8)
    return clipped


def colour(rng: np.random.Generator, low: float = 0, high: float = 255) -> Colours:
    """Draw a BGR colour."""
    return rng.uniform(low, high, 3).astype(np.float32)


def near(rng: np.random.Generator, bgr: tuple[int, int, int], spread: float = 25) -> Colours:
    """Draw a colour near another."""
    return np.clip(np.array(bgr) + rng.uniform(-spread, spread, 3), 0, 255).astype(np.float32)


def noise(rng: np.random.Generator, size: Size, cell: float, octaves: int = 3) -> Plane:
    """Give value noise, float32 [height, width] in 0..1; `cell` is its coarsest grain in pixels."""
    total = np.zeros((size[1], size[0]), np.float32)
    weight = 1.0
    for octave in range(octaves):
        grain = max(1.0, cell / 2**octave)
        shape = (max(2, int(size[1] / grain) + 2), max(2, int(size[0] / grain) + 2))
        coarse = rng.random(shape, dtype=np.float32)
        total += weight * cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
        weight *= 0.5
    plane: Plane = np.clip(total / (2 - 2 ** (1 - octaves)), 0, 1)
    return plane


def gradient(size: Size, top: Colours, bottom: Colours) -> Colours:
    """Blend from one colour at the top to another at the bottom, float32 [height, width, 3]."""
    way = np.linspace(0, 1, size[1], dtype=np.float32)[:, None, None]
    return np.broadcast_to(top * (1 - way) + bottom * way, (size[1], size[0], 3)).copy()


def tinted(plane: Plane, dark: Colours, bright: Colours) -> Colours:
    """Map 0..1 onto the way between two colours."""
    return dark + plane[..., None] * (bright - dark)


def grained(rng: np.random.Generator, image: Image, strength: float, cell: float) -> Image:
    """Roughen a picture, as asphalt, plaster and leaves are rough."""
    size = (image.shape[1], image.shape[0])
    rough = (noise(rng, size, cell, 2) - 0.5) * 2 * strength
    return pixels(image + rough[..., None])

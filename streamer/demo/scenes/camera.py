"""What light, lens, sensor and compression do to a picture."""

from typing import NamedTuple

import cv2
import numpy as np

from streamer.demo.scenes.strokes import Image
from streamer.demo.scenes.textures import chance, noise, pixels


class Light(NamedTuple):
    """Ranges of one kind of light.

    Attributes:
        gain: what all channels are multiplied by.
        lift: what is added: haze, or the glare of a low sun; of 255.
        warmth: how far red goes up and blue down, as a part of 1.
    """

    gain: tuple[float, float]
    lift: tuple[float, float]
    warmth: tuple[float, float]


LIGHTS: dict[str, tuple[Light, ...]] = {
    "train": (Light((0.6, 1.2), (0, 12), (-0.08, 0.08)),),
    "held-out": (
        Light((0.4, 0.58), (0, 8), (-0.18, -0.09)),  # dusk
        Light((1.22, 1.45), (0, 10), (0.09, 0.16)),  # a low sun
        Light((0.6, 0.8), (40, 70), (-0.02, 0.02)),  # mist
    ),
}
"""Kinds of light in each world; no held-out one lies within the ranges of training."""


def lit(rng: np.random.Generator, world: str, image: Image) -> Image:
    """Light a picture: one light of the world, uneven as by clouds and a shadow's edge."""
    lights = LIGHTS[world]
    light = lights[int(rng.integers(len(lights)))]
    warmth = rng.uniform(*light.warmth)
    gains = rng.uniform(*light.gain) * np.array([1 - warmth, 1, 1 + warmth], np.float32)
    size = (image.shape[1], image.shape[0])
    uneven = 1 + (noise(rng, size, size[0] / 2, 1) - 0.5) * rng.uniform(0, 0.4)
    if chance(rng, 0.3):
        x, y = np.meshgrid(np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1]))
        turn = rng.uniform(0, 2 * np.pi)
        uneven[x * np.cos(turn) + y * np.sin(turn) > rng.uniform(-0.3, 0.6)] *= rng.uniform(
            0.6, 0.9
        )
    bright = image * uneven[..., None] * gains + rng.uniform(*light.lift)
    return pixels(bright)


def _blurred(rng: np.random.Generator, image: Image) -> Image:
    scale = image.shape[1] / 320
    if chance(rng, 0.55):
        sigma = rng.uniform(0.3, 1.0) * scale
        return cv2.GaussianBlur(image, (0, 0), sigma).astype(np.uint8, copy=False)
    if chance(rng, 0.33):
        length = int(rng.integers(2, 5) * scale) | 1
        kernel = np.zeros((length, length), np.float32)
        turn = rng.uniform(0, np.pi)
        reach = np.array([np.cos(turn), np.sin(turn)]) * length / 2
        middle = length // 2
        ends = [(int(middle + s * reach[0]), int(middle + s * reach[1])) for s in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], 1.0)
        return cv2.filter2D(image, -1, kernel / kernel.sum()).astype(np.uint8, copy=False)
    return image


def taken(rng: np.random.Generator, world: str, image: Image) -> Image:
    """Take the picture: light, blur, sensor noise, JPEG."""
    image = _blurred(rng, lit(rng, world, image))
    grain = rng.uniform(0, 7)
    small = rng.standard_normal((*image.shape[:2], 3), dtype=np.float32) * grain
    image = pixels(image + small)
    quality = int(rng.integers(45, 96))
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    return np.asarray(decoded, dtype=np.uint8)

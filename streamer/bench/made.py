"""Records to measure with, where the user has none at hand: texts and pictures of mixed sizes."""

import base64
import json
import random
from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

from streamer.config.topology import Source

Kind = Literal["image", "text", "pair"]

_WORDS = (
    "the of and to in a is that for it as was with be by on not he his but at are this have from "
    "or had an they which one you were all her she there would their we him been has when who will "
    "no more if out so up said what its about than into them can only other time new some could"
)
_MEDIAN_WORDS, _SPREAD, _MOST_WORDS = 22, 0.75, 120
_MEGAPIXELS = ((0.1, 35), (0.5, 35), (2.0, 20), (6.0, 10))
_PICTURES = 8
_TEXTS = 512


def made_up(kind: Kind, source: Source) -> list[bytes]:
    """Make values that a source takes, the same ones each time.

    Texts have log-normal lengths with 22 words in the middle; pictures are JPEGs of 0.1 to 6
    megapixels.
    """
    chance = random.Random(0)  # noqa: S311 - data to measure with
    if kind == "image":
        sizes = chance.choices(*zip(*_MEGAPIXELS, strict=True), k=_PICTURES)
        values = [picture(megapixels, seed) for seed, megapixels in enumerate(sizes)]
        if source.format == "image":
            return values
        return [_object({source.fields.image: base64.b64encode(v).decode()}) for v in values]
    texts = [_text(chance) for _ in range(_TEXTS)]
    if kind == "text":
        if source.format == "text":
            return [text.encode() for text in texts]
        return [_object({source.fields.text: text}) for text in texts]
    fields = source.fields
    return [
        _object({fields.sentence1: text, fields.sentence2: other})
        for text, other in zip(texts, reversed(texts), strict=True)
    ]


def _text(chance: random.Random) -> str:
    words = int(chance.lognormvariate(0, _SPREAD) * _MEDIAN_WORDS)
    return " ".join(chance.choices(_WORDS.split(), k=min(max(words, 2), _MOST_WORDS)))


def picture(megapixels: float, seed: int, quality: int = 95) -> bytes:
    """Encode a JPEG with the detail of a photograph: coarse shapes with some noise.

    Args:
        megapixels: its size, four to three.
        seed: what it shows.
        quality: of the encoding, as OpenCV counts it; 88 gives about a byte for five pixels.
    """
    chance = np.random.default_rng(seed)
    height = int((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = height * 4 // 3
    coarse = chance.integers(0, 255, (height // 32 + 2, width // 32 + 2, 3), dtype=np.uint8)
    pixels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    fine = chance.integers(0, 24, (height // 2 + 1, width // 2 + 1, 3), dtype=np.uint8)
    pixels = cv2.add(pixels, cv2.resize(fine, (width, height)))
    _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return encoded.tobytes()


def _object(fields: dict[str, str]) -> bytes:
    """Write an object whose fields are named plainly or by JSON pointers."""
    content: dict[str, object] = {}
    for name, value in fields.items():
        *outer, last = name.removeprefix("/").split("/") if name.startswith("/") else [name]
        inside = content
        for part in outer:
            inside = inside.setdefault(part, {})  # type: ignore[assignment]
        inside[last] = value
    return json.dumps(content).encode()


def repeated(values: Sequence[bytes], count: int) -> list[bytes]:
    """Give so many values, over and over from the first."""
    return [values[number % len(values)] for number in range(count)]

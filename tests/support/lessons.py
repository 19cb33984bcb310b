"""Lessons without a set: samples with what is right of them, on the three sides."""

import json
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from streamer.records import Image, Pair, Sample, Text
from streamer.retraining.examples import Side, digest_of
from streamer.retraining.finding import written
from streamer.retraining.labelled import Example
from streamer.retraining.lesson import Lesson, Part
from streamer.retraining.truth import Form, grown

Told = tuple[Sample, Any]


def part(told: Sequence[Told], side: Side) -> Part:
    """Examples of one side; each is a group of its own."""
    examples = []
    for at, (sample, answer) in enumerate(told):
        sha = digest_of(_value(sample) + str(at).encode())
        kind = "image" if isinstance(sample, Image) else "text"
        name = f"{side}-{at}"
        examples.append(Example(sha, kind, (name,), answer, name, side, b"", False, 0, 1))  # noqa: FBT003
    return Part(tuple(examples), tuple(sample for sample, _ in told))


def lesson(
    train: Sequence[Told],
    validation: Sequence[Told],
    test: Sequence[Told],
    known: Sequence[str] = (),
    form: Form = "label",
) -> Lesson:
    """A lesson of these examples, for a model that knows these labels."""
    sides: dict[Side, Part] = {
        "train": part(train, "train"),
        "validation": part(validation, "validation"),
        "test": part(test, "test"),
    }
    seen = {name for one in sides.values() for name in one.names}
    labels = tuple(grown(known, seen, form))
    digest = digest_of(json.dumps([sorted(seen), len(train)]).encode())
    return Lesson(1, digest, sides, labels, len(known), 0)


def _value(sample: Sample) -> bytes:
    return written(sample) if isinstance(sample, Text | Pair) else sample.pixels.tobytes()


SHAPES = ("disc", "ring", "square", "cross")


def picture(shape: str, rng: np.random.Generator, side: int = 24) -> Image:
    """A bright shape somewhere on a dark noisy ground."""
    pixels = rng.integers(0, 50, (side, side, 3), dtype=np.uint8)
    x, y = (int(one) for one in rng.integers(9, side - 9, 2))
    colour = tuple(int(one) for one in rng.integers(150, 255, 3))
    reach = int(rng.integers(5, 8))
    if shape in ("disc", "ring"):
        cv2.circle(pixels, (x, y), reach, colour, -1 if shape == "disc" else 2)
    elif shape == "square":
        cv2.rectangle(pixels, (x - reach, y - reach), (x + reach, y + reach), colour, -1)
    else:
        cv2.line(pixels, (x - reach, y), (x + reach, y), colour, 2)
        cv2.line(pixels, (x, y - reach), (x, y + reach), colour, 2)
    return Image(pixels)


def pictures(count: int, shapes: Sequence[str], seed: int) -> list[Told]:
    """Pictures with their shapes, each as often."""
    rng = np.random.default_rng(seed)
    return [
        (picture(shapes[at % len(shapes)], rng), shapes[at % len(shapes)]) for at in range(count)
    ]

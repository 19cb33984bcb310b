"""Lessons without a set: samples with what is right of them, on the three sides."""

import json
import random
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


def side_by_side(count: int, seed: int) -> list[Told]:
    """Pictures of two shapes, and which these are from left to right."""
    rng = np.random.default_rng(seed)
    found: list[Told] = []
    for _ in range(count):
        shapes = [SHAPES[at] for at in rng.integers(0, len(SHAPES), 2)]
        found.append((Image(np.hstack([picture(one, rng).pixels for one in shapes])), shapes))
    return found


def vocabulary(kinds: Sequence[str], each: int) -> tuple[str, ...]:
    """The words that texts are made of: some of each kind."""
    return tuple(f"{kind}{at}" for kind in kinds for at in range(each))


def tagged(count: int, draw: random.Random, kinds: Sequence[str], each: int) -> list[Told]:
    """Texts of five words, and those of them that are entities: all but plain ones."""
    found: list[Told] = []
    for _ in range(count):
        words = [f"{draw.choice(kinds)}{draw.randrange(each)}" for _ in range(5)]
        entities, at = [], 0
        for word in words:
            kind = word.rstrip("0123456789")
            if kind != "plain":
                entities.append({"entity_group": kind, "start": at, "end": at + len(word)})
            at += len(word) + 1
        found.append((Text(" ".join(words)), entities))
    return found


def pairs(count: int, draw: random.Random, *, each: int, telling: int, plain: int) -> list[Told]:
    """Pairs of sentences about red or blue things; those of one colour are much alike."""

    def sentence(kind: str) -> str:
        words = [f"{kind}{draw.randrange(each)}" for _ in range(telling)]
        return " ".join([*words, *(f"plain{draw.randrange(each)}" for _ in range(plain))])

    found: list[Told] = []
    for at in range(count):
        first, second = draw.choice(("red", "blue")), draw.choice(("red", "blue"))
        score = 0.9 if first == second else 0.1
        found.append((Pair(sentence(first), sentence(second)), score + at % 7 / 100))
    return found


def scenes(count: int, seed: int, side: int = 64) -> list[Told]:
    """Pictures with one or two discs and squares, and where these are."""
    rng = np.random.default_rng(seed)
    found: list[Told] = []
    for _ in range(count):
        pixels = rng.integers(0, 50, (side, side, 3), dtype=np.uint8)
        boxes = []
        for half in range(int(rng.integers(1, 3))):
            reach = int(rng.integers(7, 12))
            x = int(rng.integers(reach, side // 2 - reach + 1)) + half * side // 2
            y = int(rng.integers(reach, side - reach))
            colour = tuple(int(one) for one in rng.integers(150, 255, 3))
            label = str(rng.choice(["disc", "square"]))
            if label == "disc":
                cv2.circle(pixels, (x, y), reach, colour, -1)
            else:
                cv2.rectangle(pixels, (x - reach, y - reach), (x + reach, y + reach), colour, -1)
            box = [x - reach, y - reach, x + reach, y + reach]
            boxes.append({"label": label, "box": box})
        found.append((Image(pixels), boxes))
    return found

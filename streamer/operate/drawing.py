"""Pictures with what was found in them drawn in."""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#800000")
_SMALLEST_TEXT, _LARGEST_TEXT = 12, 48
_MOST_LABELS = 3

Box = tuple[int, int, int, int]


@dataclass
class _Mark:
    """A box with all that steps said of it; without a box: what they said of the whole."""

    box: Box | None
    labels: list[str] = field(default_factory=list)


def drawn(pixels: NDArray[np.uint8], predictions: Mapping[str, Any]) -> Image.Image:
    """Draw the outputs of steps into a picture.

    Args:
        pixels: BGR [height, width, 3], upright: boxes are in its pixels.
        predictions: `output` by step; what a step said of another's crops goes to their boxes.
    """
    picture = Image.fromarray(np.ascontiguousarray(pixels[:, :, ::-1]))
    pen = ImageDraw.Draw(picture)
    size = min(max(picture.height // 32, _SMALLEST_TEXT), _LARGEST_TEXT)
    font = ImageFont.load_default(size)
    top = 0
    for mark in _marks(predictions):
        text = " ".join(mark.labels)
        colour = _COLOURS[zlib.crc32(mark.labels[0].split(" ")[0].encode()) % len(_COLOURS)]
        if mark.box is None:
            _write(pen, (0, top), text, font, "#202020")
            top += size + size // 2
        else:
            pen.rectangle(mark.box, outline=colour, width=max(2, size // 8))
            _write(pen, _label_place(pen, mark.box, text, font, picture.size), text, font, colour)
    return picture


def _marks(predictions: Mapping[str, Any]) -> list[_Mark]:
    """Gather what was said by box: a cascade's steps speak of the same ones."""
    marks: dict[Box | None, _Mark] = {}
    for box, label in _said(predictions):
        marks.setdefault(box, _Mark(box)).labels.append(label)
    return list(marks.values())


def _said(predictions: Mapping[str, Any]) -> Iterator[tuple[Box | None, str]]:
    for output in predictions.values():
        entries = output if isinstance(output, list) else [output]
        whole = [entry for entry in entries if isinstance(entry, Mapping) and "box" not in entry]
        if whole:
            yield None, _joined(whole)
        for entry in entries:
            if isinstance(entry, Mapping) and "box" in entry:
                inner = entry.get("output")
                found = inner if isinstance(inner, list) else [entry if inner is None else inner]
                yield _box(entry["box"]), _joined(found)


def _joined(entries: list[Any]) -> str:
    told = []
    for entry in entries[:_MOST_LABELS]:
        if isinstance(entry, Mapping):
            score = entry.get("score")
            shown = f" {score:.2f}" if isinstance(score, int | float) else ""
            told.append(f"{entry.get('label', '')}{shown}".strip())
    return ", ".join(text for text in told if text) or "nothing"


def _box(box: Mapping[str, float]) -> Box:
    left, top, right, bottom = (round(box[side]) for side in ("xmin", "ymin", "xmax", "ymax"))
    return min(left, right), min(top, bottom), max(left, right), max(top, bottom)


def _label_place(
    pen: ImageDraw.ImageDraw,
    box: Box,
    text: str,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    picture: tuple[int, int],
) -> tuple[int, int]:
    """Find room for a label: above the box, else below it, else inside; never beyond the edge."""
    _, _, width, height = pen.textbbox((0, 0), text, font=font)
    left = max(0, min(box[0], picture[0] - round(width) - 4))
    above, below = box[1] - round(height) - 4, box[3] + 2
    if above >= 0:
        return left, above
    return left, below if below + height <= picture[1] else box[1] + 2


def _write(
    pen: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    colour: str,
) -> None:
    left, top, right, bottom = pen.textbbox((at[0] + 2, at[1] + 1), text, font=font)
    pen.rectangle((left - 2, top - 1, right + 2, bottom + 1), fill=colour)
    pen.text((at[0] + 2, at[1] + 1), text, fill="white", font=font)

"""Examples made into tensors: inputs as the daemon makes them, and what is right of each."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.models import Version
from streamer.preprocess import preprocessor_for
from streamer.records import Geometry, Image, ModelInput, Sample
from streamer.retraining.lesson import Lesson, Part
from streamer.retraining.tokens import Tagger
from streamer.retraining.truth import Form, box_of, name_of, names_in

_IGNORED = -100
_ZOOM = (0.85, 1.15)
_SHIFT = 0.08
_LIGHT = (0.8, 1.2)
Boxes = NDArray[np.float32]
Batch = tuple[list[dict[str, Any]], Any]
"""Feeds, one set for each sentence of a pair, and what is right."""


class Examples:
    """One side of a lesson as batches.

    Args:
        version: whose inputs they become.
        lesson: whose labels count.
        part: the side.
        form: of the answers.
        flips: whether pictures may be turned left to right when they are varied.
    """

    def __init__(
        self, version: Version, lesson: Lesson, part: Part, form: Form, *, flips: bool = True
    ) -> None:
        self._preprocessor = preprocessor_for(version.manifest, version.folder)
        self._places = {label: at for at, label in enumerate(lesson.labels)}
        self._form = form
        self._flips = flips
        self._tagger = Tagger(version, lesson.labels) if form == "entities" else None
        self._items = [
            (sample, answer, parts)
            for sample, answer in zip(part.samples, part.answers, strict=True)
            for parts in self._parts(sample)
        ]

    def __len__(self) -> int:
        return len(self._items)

    @property
    def targets(self) -> NDArray[np.int64]:
        """Give the labels of all, where each has one; of entities those of the tokens."""
        if self._form == "entities":
            tags = self._tags(
                [parts[0] for *_, parts in self._items], [a for _, a, _ in self._items]
            )
            found: NDArray[np.int64] = tags[tags != _IGNORED].numpy()
            return found
        return np.array([self._places[answer] for _, answer, _ in self._items], np.int64)

    def batch(self, places: Sequence[int], rng: np.random.Generator | None) -> Batch:
        """Make a batch.

        Args:
            places: of its examples.
            rng: draws how pictures are varied; None leaves them as they are.
        """
        import torch

        made = [self._varied(place, rng) for place in places]
        feeds = []
        for sentence in range(len(made[0][0])):
            arrays = self._preprocessor.collate([parts[sentence] for parts, _ in made])
            feeds.append({name: torch.from_numpy(array) for name, array in arrays.items()})
        return feeds, self._target([parts[0] for parts, _ in made], [one for _, one in made])

    def _parts(self, sample: Sample) -> list[list[ModelInput]]:
        """Prepare a sample; a long text's pieces are learnt one by one."""
        parts = self._preprocessor.prepare([sample])[0]
        if not isinstance(parts, list):
            return []  # it can't be answered, so that nothing can be learnt of it
        return [[one] for one in parts] if self._form == "entities" else [parts]

    def _varied(self, place: int, rng: np.random.Generator | None) -> tuple[list[ModelInput], Any]:
        sample, answer, parts = self._items[place]
        if rng is None or not isinstance(sample, Image):
            return parts, answer
        boxes = self._form == "boxes"
        image, answer = varied(sample, answer, rng, boxes=boxes, flips=self._flips)
        prepared = self._preprocessor.prepare([image])[0]
        return (prepared if isinstance(prepared, list) else parts), answer

    def _target(self, inputs: Sequence[ModelInput], answers: Sequence[Any]) -> Any:
        import torch

        if self._form == "label":
            return torch.tensor([self._places[answer] for answer in answers])
        if self._form == "score":
            return torch.tensor([float(answer) for answer in answers])
        if self._form == "labels":
            held = torch.zeros(len(answers), len(self._places))
            for row, answer in enumerate(answers):
                held[row, [self._places[name] for name in names_in(answer)]] = 1.0
            return held
        if self._form == "boxes":
            return [
                torch.from_numpy(in_input(answer, one.context, self._places))
                for answer, one in zip(answers, inputs, strict=True)
            ]
        return self._tags(inputs, answers)

    def _tags(self, inputs: Sequence[ModelInput], answers: Sequence[Any]) -> Any:
        import torch

        assert self._tagger is not None  # noqa: S101 - made for this form
        rows = [self._tagger.of(one, a) for one, a in zip(inputs, answers, strict=True)]
        found = torch.full((len(rows), max(map(len, rows))), _IGNORED)
        for row, tags in enumerate(rows):
            found[row, : len(tags)] = torch.tensor(
                [_IGNORED if tag is None else tag for tag in tags]
            )
        return found


def in_input(answer: Sequence[Any], geometry: Geometry, places: dict[str, int]) -> Boxes:
    """Give boxes in pixels of the model's input: float32 [n, 5], corners and label."""
    found = np.zeros((len(answer), 5), np.float32)
    scale = np.array([geometry.scale_x, geometry.scale_y] * 2)
    pad = np.array([geometry.pad_left, geometry.pad_top] * 2)
    for row, one in zip(found, answer, strict=True):
        row[:4] = np.array(box_of(one)) * scale + pad
        row[4] = places[name_of(one)]
    return found


def varied(
    image: Image, answer: Any, rng: np.random.Generator, *, boxes: bool, flips: bool
) -> tuple[Image, Any]:
    """Zoom, shift, mirror and light a picture anew, its boxes with it; those cut in half go."""
    height, width = image.size
    zoom, light = rng.uniform(*_ZOOM), rng.uniform(*_LIGHT)
    shift = rng.uniform(-_SHIFT, _SHIFT, 2) * (width, height) + (1 - zoom) / 2 * np.array(
        [width, height]
    )
    matrix = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]])
    if flips and rng.random() < 0.5:  # noqa: PLR2004 - as often as not
        matrix = np.array([[-zoom, 0, width - shift[0]], [0, zoom, shift[1]]])
    moved = cv2.warpAffine(image.pixels, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
    lit = np.clip(moved.astype(np.float32) * light, 0, 255).astype(np.uint8)
    moved_boxes = _moved(answer, matrix, width, height) if boxes else answer
    return Image(lit), moved_boxes


def _moved(
    answer: Sequence[Any], matrix: NDArray[np.float64], width: int, height: int
) -> list[dict[str, Any]]:
    found = []
    for one in answer:
        left, top, right, bottom = box_of(one)
        corners = np.array([[left, top, 1], [right, bottom, 1]]) @ matrix.T
        low, high = corners.min(axis=0), corners.max(axis=0)
        seen_low, seen_high = np.clip(low, 0, (width, height)), np.clip(high, 0, (width, height))
        if (seen_high - seen_low).prod() > 0.5 * (high - low).prod():
            box = [float(edge) for edge in (*seen_low, *seen_high)]
            found.append({"label": name_of(one), "box": box})
    return found

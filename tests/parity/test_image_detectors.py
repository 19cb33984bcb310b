"""Detectors: streamer's boxes against those of transformers' own processors and pipeline."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from parity.image_cases import CASES
from parity.pictures import Streamed, jpegs, opened, streamed

pytestmark = pytest.mark.torch
TASK = "object-detection"
NAMES = [name for task, name in CASES if task == TASK]
EXACT = 1e-4
THRESHOLD = 0.5
FLOOR = 0.25
"""Partners of what reaches the threshold are looked for down to here."""
PIXEL = 1.0


class Object(NamedTuple):
    label: str
    score: float
    box: np.ndarray


Objects = list[list[Object]]


class Gap(NamedTuple):
    """How far two sets of objects are apart: infinitely, where one has no partner."""

    score: float
    pixels: float


def gap(some: Objects, others: Objects) -> Gap:
    """Pair what reaches the threshold with the nearest object of its label in the other set."""
    score = pixels = 0.0
    for one, other in zip(some, others, strict=True):
        for mine, theirs in ((one, other), (other, one)):
            for found in mine:
                if found.score <= THRESHOLD:
                    continue
                offs = [
                    (float(np.abs(found.box - near.box).max()), abs(found.score - near.score))
                    for near in theirs
                    if near.label == found.label
                ]
                if not offs:
                    return Gap(np.inf, np.inf)
                # of objects at one place, the one that is as sure
                off = min(offs, key=lambda both: both[0] / PIXEL + 10 * both[1])
                score, pixels = max(score, off[1]), max(pixels, off[0])
    return Gap(score, pixels)


def clipped(boxes: Any, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    limited: np.ndarray = np.clip(np.asarray(boxes), 0, [width, height, width, height])
    return limited


def asked(model: Any, processor: Any) -> Objects:
    """Ask transformers: processor, model, processor."""
    import torch

    answers = []
    for value in jpegs():
        picture = opened(value)
        size = picture.height, picture.width
        given = processor(images=[picture], return_tensors="pt")
        with torch.no_grad():
            outputs = model(pixel_values=given.pixel_values)
        (found,) = processor.post_process_object_detection(outputs, FLOOR, [size])
        answers.append(
            [
                Object(model.config.id2label[label], score, box)
                for label, score, box in zip(
                    found["labels"].tolist(),
                    found["scores"].tolist(),
                    clipped(found["boxes"], size),
                    strict=True,
                )
                # what lies outside of the picture is not answered
                if (box[2:] - box[:2]).min() > 0
            ]
        )
    return answers


def answered(answers: list[Any]) -> Objects:
    return [
        [
            Object(entry["label"], entry["score"], box)
            for entry, box in zip(found, found.boxes, strict=True)
        ]
        for found in answers
    ]


@pytest.fixture
def made(tmp_path):
    """Make a detector with clear answers, and write it and its processor to a folder."""

    def make(name: str) -> tuple[Any, Any, Path]:
        import torch
        from parity.image_models import detector, settled, sharpened_detector

        torch.set_num_threads(1)
        model, processor = detector(name)
        pixels = [
            processor(images=[opened(value)], return_tensors="pt").pixel_values for value in jpegs()
        ]
        settled(model, pixels)
        sharpened_detector(model, pixels)
        folder = tmp_path / "model"
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        return model, processor, folder

    return make


@pytest.mark.parametrize("name", NAMES)
def test_a_detector_answers_as_transformers_does(name, made, tmp_path, parity_row):
    from transformers import AutoImageProcessor, pipeline

    model, processor, folder = made(name)
    wanted = asked(model, processor)
    assert sum(distinct(found) >= 5 for found in wanted) >= 3, [distinct(f) for f in wanted]
    other = AutoImageProcessor.from_pretrained(folder, backend="pil")
    apart = gap(wanted, asked(model, other))
    allowed = Gap(max(EXACT, 2 * apart.score), max(PIXEL, 2 * apart.pixels))
    assert allowed.score < 0.2
    built = streamed(folder, TASK, threshold=FLOOR)
    tensors = from_tensors(built, model, processor)
    assert tensors < EXACT
    answers = built.answers(jpegs())
    off = gap(wanted, answered(answers))
    assert off.score <= allowed.score
    assert off.pixels <= allowed.pixels
    pipe = pipeline(TASK, model=model, image_processor=processor, device="cpu")
    theirs = pipe(opened(jpegs()[0]), threshold=THRESHOLD + allowed.score)
    assert {entry["label"] for entry in theirs} <= {entry["label"] for entry in answers[0]}
    onnx, exporter = over_onnx(name, model, processor, folder, tmp_path / "onnx", wanted, allowed)
    breaks: dict[str, float | str] = {}
    for mistake, wrong in built.mistaken().items():
        found = gap(wanted, answered(wrong.answers(jpegs())))
        assert found.score > allowed.score or found.pixels > allowed.pixels, mistake
        breaks[mistake] = found.score if np.isfinite(found.score) else "other objects"
    parity_row(
        name,
        TASK,
        torch=tensors,
        onnx=onnx,
        end_to_end=f"labels equal, scores {off.score:.0e} (allowed {allowed.score:.0e}), "
        f"boxes {off.pixels:.2f} px off; {exporter}",
        breaks=breaks,
    )


def distinct(found: list[Object]) -> int:
    """Count boxes that differ by more than a pixel."""
    boxes: list[np.ndarray] = []
    for entry in found:
        near = any(np.abs(entry.box - other).max() <= PIXEL for other in boxes)
        if entry.score > THRESHOLD and not near:
            boxes.append(entry.box)
    return len(boxes)


def from_tensors(built: Streamed, model: Any, processor: Any) -> float:
    """Compare what the session gives for the reference's own tensors."""
    import torch

    worst = 0.0
    for value in jpegs():
        pixels = processor(images=[opened(value)], return_tensors="pt").pixel_values
        with torch.no_grad():
            wanted = model(pixel_values=pixels)
        given = built.outputs_of(pixels.numpy())
        scores = np.abs(sigmoid(given["logits"]) - sigmoid(wanted.logits.numpy())).max()
        boxes = np.abs(given["pred_boxes"] - wanted.pred_boxes.numpy()).max()
        worst = max(worst, float(scores), float(boxes))
    return worst


def sigmoid(values: np.ndarray) -> np.ndarray:
    result: np.ndarray = 1 / (1 + np.exp(-values))
    return result


def over_onnx(  # noqa: PLR0917 - one comparison
    name: str, model: Any, processor: Any, folder: Path, to: Path, wanted: Objects, allowed: Gap
) -> tuple[float, str]:
    """Export with free sides, and answer the pictures with that file, too."""
    from parity.image_exports import exported

    fixed = {"size": {"height": 64, "width": 96}}
    pixels = processor(images=[opened(value) for value in jpegs()], return_tensors="pt", **fixed)
    square = name.startswith(("RT", "D-F"))
    if square:
        pixels = processor(images=[opened(value) for value in jpegs()], return_tensors="pt")
    export = exported(
        model, pixels.pixel_values, ["logits", "pred_boxes"], folder, to, sides=not square
    )
    if not (export.free or square):
        assert export.off < EXACT
        return export.off, f"{export.exporter}, sides of 64x96 only"
    built = streamed(to, TASK, threshold=FLOOR)
    worst = from_tensors(built, model, processor)
    assert worst < EXACT
    found = gap(wanted, answered(built.answers(jpegs())))
    assert found.score <= allowed.score
    assert found.pixels <= allowed.pixels
    return worst, export.exporter

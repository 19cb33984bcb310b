"""Classifiers and feature models of pictures: streamer's answers against transformers' own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parity.image_cases import CASES, OF_TIMM
from parity.pictures import Streamed, jpegs, opened, streamed

pytestmark = pytest.mark.torch
TASK = "image-classification"
NAMES = [name for task, name in CASES if task == TASK and name not in OF_TIMM]
FEATURES = "image-feature-extraction"
EXACT = 1e-4

Scores = list[dict[str, float]]


def of(answers: Any) -> Scores:
    return [{entry["label"]: entry["score"] for entry in answer} for answer in answers]


def distance(some: Scores, others: Scores) -> float:
    return max(
        abs(one[label] - other[label])
        for one, other in zip(some, others, strict=True)
        for label in one
    )


def labels_agree(some: Scores, others: Scores, tolerance: float) -> bool:
    """Compare labels where the reference's best two scores are further apart than that."""
    for one, other in zip(some, others, strict=True):
        best, second = sorted(one.values(), reverse=True)[:2]
        if best - second > tolerance and max(one, key=one.__getitem__) != max(
            other, key=other.__getitem__
        ):
            return False
    return True


@pytest.fixture
def made(tmp_path):
    """Make a model whose answers differ clearly, and write it and its processor to a folder."""

    def make(name: str, values: Sequence[bytes] | None = None) -> tuple[Any, Any, Any, Path]:
        import torch
        from parity.image_models import classifier, settled, sharpened

        torch.set_num_threads(1)
        model, processor = classifier(name)
        pictures = [opened(value) for value in values or jpegs()]
        pixels = processor(pictures, return_tensors="pt").pixel_values
        settled(model, [pixels])
        sharpened(model, pixels)
        folder = tmp_path / "model"
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        return model, processor, pixels, folder

    return make


def asked(model: Any, processor: Any, values: Sequence[bytes] | None = None) -> Scores:
    """Ask transformers' own pipeline."""
    from transformers import pipeline

    pipe = pipeline(TASK, model=model, image_processor=processor, device="cpu")
    labels = model.config.num_labels
    return of(pipe([opened(value) for value in values or jpegs()], top_k=labels))


def other_backend(folder: Path) -> Any:
    from transformers import AutoImageProcessor

    return AutoImageProcessor.from_pretrained(folder, backend="pil")


@pytest.mark.parametrize("name", NAMES)
def test_a_classifier_answers_as_transformers_does(name, made, tmp_path, parity_row):
    from parity.image_exports import exported

    model, processor, pixels, folder = made(name)
    wanted = asked(model, processor)
    apart = distance(wanted, asked(model, other_backend(folder)))
    tolerance = max(EXACT, 2 * apart)
    over_torch = streamed(folder, TASK, top_k=len(wanted[0]))
    exact = from_tensors(over_torch, pixels.numpy(), model)
    assert exact < EXACT
    off = end_to_end(over_torch, wanted, tolerance)
    to = tmp_path / "onnx"
    exporter = exported(model, pixels, ["logits"], folder, to).exporter
    over_onnx = streamed(to, TASK, top_k=len(wanted[0]))
    exact_onnx = from_tensors(over_onnx, pixels.numpy(), model)
    assert exact_onnx < EXACT
    end_to_end(over_onnx, wanted, tolerance)
    breaks = {}
    for mistake, wrong in over_torch.mistaken().items():
        breaks[mistake] = distance(wanted, of(wrong.answers(jpegs())))
        assert breaks[mistake] > tolerance, mistake
    parity_row(
        name,
        TASK,
        torch=exact,
        onnx=exact_onnx,
        end_to_end=f"labels equal, scores {off:.0e} off (allowed {tolerance:.0e}); {exporter}",
        breaks=breaks,
    )


def from_tensors(built: Streamed, pixels: np.ndarray, model: Any) -> float:
    """Answer the reference's own tensors."""
    import torch

    with torch.no_grad():
        scores = model(torch.from_numpy(pixels)).logits.softmax(dim=1).numpy()
    names = model.config.id2label
    wanted = [{names[i]: float(row[i]) for i in range(len(row))} for row in scores]
    worst = 0.0
    for size in (1, 3, 8):
        answers = of(built.answer_to(pixels[:size], jpegs()[:size]))
        worst = max(worst, distance(wanted[:size], answers))
    return worst


def end_to_end(built: Streamed, wanted: Scores, tolerance: float) -> float:
    answers = of(built.answers(jpegs()))
    off = distance(wanted, answers)
    assert off <= tolerance
    assert labels_agree(wanted, answers, tolerance)
    return off


@pytest.mark.parametrize("name", ["ViT", "ConvNeXT", "MobileNet V2"])
def test_photographs_are_answered_alike(name, made, assets):
    photos = assets / "data" / "images"
    files = sorted(photos.glob("mlnet/*.jpg"))[:6] + sorted(photos.glob("flowers/*/*.jpg"))[::20]
    values = [file.read_bytes() for file in files]
    model, processor, _, folder = made(name, values)
    wanted = asked(model, processor, values)
    tolerance = max(EXACT, 2 * distance(wanted, asked(model, other_backend(folder), values)))
    answers = of(streamed(folder, TASK, top_k=len(wanted[0])).answers(values))
    assert distance(wanted, answers) <= tolerance
    assert labels_agree(wanted, answers, tolerance)


@pytest.mark.parametrize("name", [name for task, name in CASES if task == FEATURES])
def test_vectors_are_those_of_transformers(name, made, tmp_path, parity_row):
    import torch
    from parity.image_exports import exported
    from transformers import AutoModel, pipeline

    _, processor, pixels, folder = made(name)
    bare = AutoModel.from_pretrained(folder)
    bare.save_pretrained(tmp_path / "bare")
    processor.save_pretrained(tmp_path / "bare")

    def features(rules: Any) -> list[np.ndarray]:
        pipe = pipeline(FEATURES, model=bare, image_processor=rules, device="cpu")
        return [np.array(pipe(opened(value)))[0] for value in jpegs()]

    wanted = features(processor)
    size = max(float(np.abs(row).max()) for row in wanted)
    apart = most_apart(wanted, features(other_backend(folder))) / size
    tolerance = max(EXACT, 2 * apart)
    over_torch = streamed(tmp_path / "bare", FEATURES)
    with torch.no_grad():
        states = bare(pixels).last_hidden_state.numpy()
    exact = most_apart(list(states), over_torch.answer_to(pixels.numpy(), jpegs())) / size
    assert exact < EXACT
    off = most_apart(wanted, over_torch.answers(jpegs())) / size
    assert off <= tolerance
    export = exported(bare, pixels, ["last_hidden_state"], tmp_path / "bare", tmp_path / "onnx")
    over_onnx = streamed(tmp_path / "onnx", FEATURES)
    exact_onnx = most_apart(list(states), over_onnx.answer_to(pixels.numpy(), jpegs())) / size
    assert exact_onnx < EXACT
    assert most_apart(wanted, over_onnx.answers(jpegs())) / size <= tolerance
    breaks = {}
    for mistake, wrong in over_torch.mistaken().items():
        breaks[mistake] = most_apart(wanted, wrong.answers(jpegs())) / size
        assert breaks[mistake] > tolerance, mistake
    parity_row(
        name,
        FEATURES,
        torch=exact,
        onnx=exact_onnx,
        end_to_end=f"numbers {off:.0e} of the largest off (allowed {tolerance:.0e}); "
        f"{export.exporter}",
        breaks=breaks,
    )


def most_apart(some: list[Any], others: list[Any]) -> float:
    return max(
        float(np.abs(np.asarray(one) - np.asarray(other)).max())
        for one, other in zip(some, others, strict=True)
    )

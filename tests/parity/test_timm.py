"""Folders of timm: streamer's answers against timm's own transform and network."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parity.image_cases import OF_TIMM
from parity.pictures import jpegs, opened, streamed

from streamer.config import Settings
from streamer.config.settings import ModelSettings
from streamer.operate.exporting import export_model

pytestmark = pytest.mark.torch
TASK = "image-classification"
LABELS = ["ant", "bee", "cat", "dog", "elk"]
EXACT = 1e-4
_SAID = ("input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std")


@pytest.fixture
def made(tmp_path):
    """Make a network whose answers differ clearly, and its folder as timm saves it."""

    def make(name: str) -> tuple[Any, Any, Path]:
        import timm
        import torch
        from safetensors.torch import save_file
        from timm.data import create_transform, resolve_data_config

        torch.manual_seed(0)
        network = timm.create_model(OF_TIMM[name], num_classes=len(LABELS)).eval()
        transform = create_transform(**resolve_data_config({}, model=network))
        pixels = torch.stack([transform(opened(value)) for value in jpegs()])
        sharpened(network, pixels)
        folder = tmp_path / "model"
        folder.mkdir()
        save_file(network.state_dict(), folder / "model.safetensors")
        config = {
            "architecture": OF_TIMM[name],
            "num_classes": len(LABELS),
            "pretrained_cfg": {key: network.pretrained_cfg.get(key) for key in _SAID},
            "label_names": LABELS,
        }
        (folder / "config.json").write_text(json.dumps(config))
        return network, pixels, folder

    return make


def sharpened(network: Any, pixels: Any) -> None:
    """Rescale the head until answers differ clearly, as for transformers' networks."""
    import torch

    head = network.get_classifier()
    with torch.no_grad():
        head.weight.normal_(0, 1, generator=torch.Generator().manual_seed(1))
        head.bias.zero_()
        head.bias -= network(pixels).mean(dim=0)
        for _ in range(60):
            scores = network(pixels).softmax(dim=1).numpy()
            best = np.sort(scores, axis=1)
            if (best[:, -1] - best[:, -2]).min() > 0.05 and len(set(scores.argmax(1))) >= 3:
                return
            head.weight *= 1.25
            head.bias *= 1.25
    raise AssertionError(f"answers do not differ: {scores}")


def table_of(answers: Any) -> np.ndarray:
    """Give scores in the order of the labels."""
    rows = [{entry["label"]: entry["score"] for entry in answer} for answer in answers]
    return np.array([[row[label] for label in LABELS] for row in rows])


@pytest.mark.parametrize("name", list(OF_TIMM))
def test_a_classifier_answers_as_timm_does(name, made, tmp_path, monkeypatch, parity_row):
    import torch

    network, pixels, folder = made(name)
    with torch.no_grad():
        wanted = network(pixels).softmax(dim=1).numpy()
    monkeypatch.chdir(tmp_path)
    assert export_model(str(folder), Path("onnx"), None, Settings(models=ModelSettings())) == 0
    off = {}
    for backend, place in (("torch", folder), ("onnx", tmp_path / "onnx")):
        built = streamed(place, TASK, top_k=len(LABELS))
        exact = np.abs(wanted - table_of(built.answer_to(pixels.numpy(), jpegs()))).max()
        assert exact < EXACT
        off[backend] = float(exact)
        answers = table_of(built.answers(jpegs()))
        end_to_end = float(np.abs(wanted - answers).max())
        # timm prepares with Pillow, as streamer does: there is no second backend to allow for
        assert end_to_end < EXACT
        assert (wanted.argmax(axis=1) == answers.argmax(axis=1)).all()
    breaks = {}
    for mistake, wrong in streamed(folder, TASK, top_k=len(LABELS)).mistaken().items():
        breaks[mistake] = float(np.abs(wanted - table_of(wrong.answers(jpegs()))).max())
        assert breaks[mistake] > 10 * EXACT, mistake
    parity_row(
        name,
        TASK,
        **off,
        end_to_end=f"labels equal, scores {end_to_end:.0e} off (allowed 1e-04); timm's own "
        "transform and network",
        breaks=breaks,
    )

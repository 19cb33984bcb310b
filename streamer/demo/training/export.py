"""From a trained network to a model version: ONNX, checked against Torch, and `model.yaml`."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
import yaml
from torch import Tensor, nn

from streamer.errors import ModelError

MODELS = Path(__file__).parents[1] / "models"
_TOLERANCE = 1e-4
_BATCHES = (1, 3, 8)
"""Batches the export is checked with; none is that of its example."""


def _export(network: nn.Module, example: Tensor, names: tuple[str, str], path: Path) -> None:
    torch.onnx.export(
        network,
        (example,),
        str(path),
        input_names=[names[0]],
        output_names=[names[1]],
        dynamic_axes={names[0]: {0: "batch"}, names[1]: {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )
    onnx.checker.check_model(onnx.load(path))


def _check(network: nn.Module, shape: tuple[int, ...], high: float, path: Path) -> float:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for batch in _BATCHES:
        images = torch.rand((batch, *shape), generator=generator) * high
        with torch.inference_mode():
            wanted = network(images).numpy()
        given = session.run(None, {name: images.numpy()})[0]
        worst = max(worst, float(np.abs(given - wanted).max()))
    if worst > _TOLERANCE:
        raise ModelError(f"{path}: ONNX and Torch differ by {worst:.2g}")
    return worst


def write_onnx(
    network: nn.Module,
    path: Path,
    shape: tuple[int, ...],
    names: tuple[str, str],
    high: float,
) -> None:
    """Export a network with a free batch, opset 17, and check it against itself in Torch.

    Args:
        network: in whatever mode; it is exported in eval mode.
        path: where to.
        shape: of one input, without the batch.
        names: of the input and the output tensor.
        high: the largest value of an input.

    Raises:
        ModelError: on random inputs the two differ by more than 1e-4.
    """
    network.eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    _export(network, torch.rand((2, *shape)) * high, names, path)
    worst = _check(network, shape, high, path)
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, differs from Torch by {worst:.1e}")


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write `model.yaml` for the `model.onnx` in a folder, its SHA-256 filled in."""
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    whole = {**manifest, "files": {"model.onnx": f"sha256:{digest}"}}
    order = ("name", "version", "task", "description", "license", "files", "id2label")
    ordered = {key: whole.pop(key) for key in order if key in whole} | whole
    text = yaml.dump(ordered, sort_keys=False, default_flow_style=None, width=100)
    (folder / "model.yaml").write_text(text, encoding="utf-8")

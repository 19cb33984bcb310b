"""Tiny models of pictures to ONNX, for parity tests."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import onnxruntime
import torch

_BESIDE = ("config.json", "preprocessor_config.json")
BATCHES = (1, 3, 8)
_WRONG = 2e-3


def exported(
    model: Any,
    pixels: "torch.Tensor",
    outputs: Sequence[str],
    folder: Path,
    to: Path,
    *,
    sides: bool,
) -> tuple[str, float]:
    """Write a model as `model.onnx`, with the files that stand beside its weights.

    The newer exporter first; the older one where that fails or freezes a side.

    Args:
        model: in eval mode.
        pixels: at least 8 pictures; it is exported with 2 of them and run with 1, 3 and 8.
        outputs: the results that the file gives.
        folder: where the model's own files are.
        to: written to.
        sides: whether height and width are free, too.

    Returns:
        Which exporter wrote it, and the largest difference from the model itself.
    """
    to.mkdir(exist_ok=True)
    for name in _BESIDE:
        copyfile(folder / name, to / name)

    class Wrapper(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixel_values: Any) -> Any:
            given = self.model(pixel_values, return_dict=True)
            return tuple(given[name] for name in outputs)

    wrapper = Wrapper().eval()
    problems = []
    for dynamo in (True, False):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                _written(
                    wrapper, pixels[:2], outputs, to / "model.onnx", dynamo=dynamo, sides=sides
                )
                off = _difference(wrapper, pixels, to / "model.onnx")
                assert off < _WRONG, f"written, but {off:.0e} off"
            except Exception as error:  # noqa: BLE001 - an exporter fails in its own ways
                problems.append(f"{type(error).__name__}: {error}"[:200])
                continue
        return f"dynamo={dynamo}", off
    raise AssertionError(problems)


def _written(
    wrapper: Any,
    pixels: "torch.Tensor",
    outputs: Sequence[str],
    file: Path,
    *,
    dynamo: bool,
    sides: bool,
) -> None:
    more: dict[str, Any] = {}
    if dynamo:
        free: dict[int, Any] = {0: torch.export.Dim("batch")}
        if sides:
            free |= {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
        more["dynamic_shapes"] = {"pixel_values": free}
    else:
        names = {0: "batch", 2: "height", 3: "width"} if sides else {0: "batch"}
        more["dynamic_axes"] = {"pixel_values": names} | {name: {0: "batch"} for name in outputs}
        more["opset_version"] = 17
    torch.onnx.export(
        wrapper,
        (pixels,),
        str(file),
        input_names=["pixel_values"],
        output_names=list(outputs),
        dynamo=dynamo,
        verbose=False,
        **more,
    )


def _difference(wrapper: Any, pixels: "torch.Tensor", file: Path) -> float:
    """Compare the file with the model, at batches that it was not exported with."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    off = 0.0
    for size in BATCHES:
        with torch.no_grad():
            wanted = wrapper(pixels[:size])
        given = session.run(None, {"pixel_values": pixels[:size].numpy()})
        for one, other in zip(given, wanted, strict=True):
            assert one.shape == tuple(other.shape), (one.shape, other.shape)
            off = max(off, float(np.abs(one - other.numpy()).max()))
    return off

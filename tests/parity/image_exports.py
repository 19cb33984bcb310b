"""Tiny models of pictures to ONNX, for parity tests."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from shutil import copyfile
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import torch

_BESIDE = ("config.json", "preprocessor_config.json")
BATCHES = (1, 3, 8)
_WRONG = 2e-3


class Export(NamedTuple):
    """What was written: by which exporter, how far off at the most, and with which sides free."""

    exporter: str
    off: float
    free: bool


def exported(
    model: Any,
    pixels: "torch.Tensor",
    outputs: Sequence[str],
    folder: Path,
    to: Path,
    *,
    sides: bool = False,
) -> Export:
    """Write a model as `model.onnx`, with the files that stand beside its weights.

    The exporter by tracing first, which takes a tenth of the time; the one by torch.export where
    that fails or freezes a side; with a fixed height and width where neither leaves them free.

    Args:
        model: in eval mode.
        pixels: at least 8 pictures; it is exported with 2 of them and run with 1, 3 and 8.
        outputs: the results that the file gives.
        folder: where the model's own files are.
        to: written to.
        sides: whether height and width are to be free, too.

    Raises:
        AssertionError: none writes a file that answers as the model does.
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
    ways = [
        (dynamo, free)
        for free in ((True, False) if sides else (False,))
        for dynamo in (False, True)
    ]
    for dynamo, free in ways:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                _written(wrapper, pixels[:2], outputs, to / "model.onnx", dynamo=dynamo, sides=free)
                off = _difference(wrapper, _sets(pixels, free=free), to / "model.onnx")
                assert off < _WRONG, f"written, but {off:.0e} off"
            except Exception as error:  # noqa: BLE001 - an exporter fails in its own ways
                problems.append(f"{type(error).__name__}: {error}"[:200])
                continue
        return Export(f"dynamo={dynamo}", off, free)
    raise AssertionError(problems)


def _sets(pixels: "torch.Tensor", *, free: bool) -> list["torch.Tensor"]:
    """Give batches that it was not exported with, and other sides where these are free."""
    sets = [pixels[:size] for size in BATCHES]
    if free:
        height, width = pixels.shape[2] * 3 // 4, pixels.shape[3] * 2 // 3
        sets += [pixels[:1, :, :height], pixels[:1, :, :, :width].contiguous()]
    return sets


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


def _difference(wrapper: Any, sets: "Sequence[torch.Tensor]", file: Path) -> float:
    """Compare the file with the model."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    off = 0.0
    for pixels in sets:
        with torch.no_grad():
            wanted = wrapper(pixels)
        given = session.run(None, {"pixel_values": pixels.numpy()})
        for one, other in zip(given, wanted, strict=True):
            assert one.shape == tuple(other.shape), (one.shape, other.shape)
            off = max(off, float(np.abs(one - other.numpy()).max()))
    return off

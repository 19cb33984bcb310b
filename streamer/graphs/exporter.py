"""From weights to an ONNX file that answers as they do, whatever the batch and the size."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from streamer.errors import ConfigError, ModelError
from streamer.graphs.module import Module
from streamer.graphs.samples import BATCHES, Shapes, compared, example

_log = structlog.get_logger(__name__)

TOLERANCE = 1e-4
_OPSET = 18
_OBJECTS = {"logits", "pred_boxes"}
_MOST_INSIDE_BYTES = 1_800_000_000  # protobuf ends at 2 GiB


@dataclass(frozen=True)
class Exported:
    """What was written, and how far it is from its origin.

    Attributes:
        exporter: which of Torch's two it was.
        difference: the largest one of all batches, as a share of the largest value.
        told: the batches that were compared.
    """

    file: Path
    exporter: str
    difference: float
    told: tuple[str, ...]


def export(module: Module, shapes: Shapes, file: Path) -> Exported:
    """Write a module as ONNX and compare the two on batches that it was not exported with.

    Torch's exporter by `torch.export` is tried first; where it fails, or freezes a side that must
    be free, the one by tracing is.

    Raises:
        ModelError: neither gives a graph that answers as the module does; says what was seen.
        ConfigError: onnx or onnxruntime is not installed.
    """
    _require("onnx", "onnxscript", "onnxruntime")
    problems = []
    for dynamo in (True, False):
        name = f"torch.onnx.export dynamo={dynamo}"
        try:
            _write(module, shapes, file, dynamo=dynamo)
            difference, told = _compared(module, shapes, file)
        except ModelError as error:
            problems.append(f"{name}: {error}")
        except Exception as error:  # noqa: BLE001 - exporters raise whatever they stumble over
            line = " ".join(str(error).split())
            problems.append(f"{name}: {type(error).__name__}: {line:.300}")
        else:
            return Exported(file, name, difference, told)
        _log.info("export_failed", message=problems[-1])
        for left in file.parent.glob(f"{file.name}*"):
            left.unlink()
    raise ModelError("cannot be exported:\n" + "\n".join(problems))


def _require(*names: str) -> None:
    from importlib.util import find_spec

    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise ConfigError(f"to export a model install: pip install {' '.join(missing)}")


def _write(module: Module, shapes: Shapes, file: Path, *, dynamo: bool) -> None:
    import torch

    tensors = {
        name: torch.from_numpy(a) for name, a in example(module.graph.inputs, shapes).items()
    }
    axes = {name: _axes(tensor.ndim, shapes) for name, tensor in tensors.items()}
    size = sum(p.numel() * p.element_size() for p in module.wrapped.parameters())
    options: dict[str, Any] = {
        "input_names": list(tensors),
        "output_names": [tensor.name for tensor in module.graph.outputs],
        "opset_version": _OPSET,
        "external_data": size > _MOST_INSIDE_BYTES,
        "verbose": False,
    }
    if dynamo:
        free = torch.export.Dim.DYNAMIC  # refuses to be frozen, as AUTO does not
        sides = tuple(dict.fromkeys(axes[name], free) for name in tensors)
        options |= {"dynamo": True, "dynamic_shapes": (sides,), "optimize": True}
    else:
        options |= {"dynamo": False, "dynamic_axes": {**axes, **_output_axes(module)}}
    with _quiet(), torch.no_grad():
        torch.onnx.export(module.wrapped, tuple(tensors.values()), file, **options)


def _axes(rank: int, shapes: Shapes) -> dict[int, str]:
    """Name the free sides of an input."""
    if shapes.picture is None:
        return {0: "batch", 1: "length"}
    if not shapes.free_size:
        return {0: "batch"}
    return {0: "batch", rank - 2: "height", rank - 1: "width"}


def _output_axes(module: Module) -> dict[str, dict[int, str]]:
    return {
        tensor.name: {0: "batch"}
        | ({1: "length"} if tensor.name == "last_hidden_state" or _by_token(tensor.shape) else {})
        for tensor in module.graph.outputs
    }


def _by_token(shape: tuple[int | None, ...] | None) -> bool:
    return shape is not None and len(shape) > 2 and shape[1] is None  # noqa: PLR2004


def _compared(module: Module, shapes: Shapes, file: Path) -> tuple[float, tuple[str, ...]]:
    """Run both on every batch and measure how far they are apart.

    Raises:
        ModelError: further than numbers differ by the order of their sums, or not run at all.
    """
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    takes = {given.name for given in session.get_inputs()}
    names = [tensor.name for tensor in module.graph.outputs]
    most, told = 0.0, []
    for label, feeds in compared(module.graph.inputs, shapes):
        with torch.no_grad():
            right = module.wrapped(*(torch.from_numpy(array) for array in feeds.values()))
        values = right if isinstance(right, tuple) else (right,)
        found = session.run(names, {name: feeds[name] for name in takes})
        difference = _difference(dict(zip(names, values, strict=True)), found, label)
        most = max(most, difference)
        told.append(label)
    if len({label.partition(",")[0] for label in told}) != len(BATCHES):
        raise ModelError("not every batch was compared")
    return most, tuple(told)


def _difference(right: Mapping[str, Any], found: list[Any], label: str) -> float:
    """Give how far apart two sets of outputs are, as a share of the largest value.

    A detector's objects are a set: those that choose their queries by score (RT-DETR) give two that
    score alike in any order, and what belongs to them likewise.
    """
    pairs = {}
    for (name, tensor), value in zip(right.items(), found, strict=True):
        expected = tensor.float().numpy()
        if expected.shape != value.shape:
            raise ModelError(
                f"{label}: '{name}' is {list(value.shape)} where the network gives "
                f"{list(expected.shape)}"
            )
        size = max(float(np.abs(expected).max()), 1.0)
        pairs[name] = expected / size, value / size
    apart = {name: float(np.abs(one - other).max()) for name, (one, other) in pairs.items()}
    if pairs.keys() >= _OBJECTS and not max(apart.values()) <= TOLERANCE:
        rows = [np.concatenate(part, axis=2) for part in zip(*pairs.values(), strict=True)]
        apart = dict.fromkeys(pairs, _as_sets(*rows))
    for name, off in apart.items():
        if not off <= TOLERANCE:
            raise ModelError(f"{label}: '{name}' is {off:.2g} off, more than {TOLERANCE:g}")
    return max(apart.values())


def _as_sets(some: NDArray[np.float32], others: NDArray[np.float32]) -> float:
    """Give how far the loneliest row of either is from the nearest of the other, item by item."""
    most = 0.0
    for one, other in zip(some, others, strict=True):
        apart = np.abs(one[:, None] - other[None]).max(axis=2)
        most = max(most, float(apart.min(axis=0).max()), float(apart.min(axis=1).max()))
    return most


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' remarks to themselves: what counts is measured."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

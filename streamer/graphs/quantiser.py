"""ONNX graphs in eight bits: weights at once, activations as they come or by calibration."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from numpy.typing import NDArray

from streamer.errors import ConfigError, ModelError

Feeds = Mapping[str, NDArray[Any]]
Way = Literal["dynamic", "static"]


def quantise(source: Path, target: Path, calibration: Iterable[Feeds] | None = None) -> Way:
    """Write a graph whose products are computed in eight bits.

    Args:
        source: a graph in fp32.
        target: where the new one goes, in one file.
        calibration: batches that show which numbers occur between the nodes (`static`, for
            convolutions); without them scales are found anew for each batch (`dynamic`, for
            texts: transformers and other products of matrices).

    Raises:
        ConfigError: the package onnx is not installed.
        ModelError: the graph cannot be quantised.
    """
    try:
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        message = "to quantise a model install: pip install 'streamer[cpu,retrain]'"
        raise ConfigError(message) from error
    with TemporaryDirectory(prefix="streamer-") as folder, _quiet():
        prepared = Path(folder) / "prepared.onnx"
        try:
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            if calibration is None:
                # signed weights: products with unsigned ones have no fast path on x86
                quantization.quantize_dynamic(
                    _attended(prepared),
                    str(target),
                    weight_type=quantization.QuantType.QInt8,
                    per_channel=True,
                    extra_options={"DefaultTensorType": 1},  # of what no shape is inferred: float
                )
                return "dynamic"
            quantization.quantize_static(
                str(prepared),
                str(target),
                _Batches(calibration),
                quant_format=quantization.QuantFormat.QDQ,
                weight_type=quantization.QuantType.QInt8,
                activation_type=quantization.QuantType.QUInt8,
                per_channel=True,
            )
        except ConfigError:
            raise
        except Exception as error:
            told = " ".join(str(error).split())
            raise ModelError(f"{source}: cannot be quantised: {told:.300}") from error
    return "static"


def _attended(prepared: Path) -> str:
    """Put attention into single nodes: beside fast products, the steps between them are dear."""
    import onnx

    from streamer.graphs.attention import fused

    model = onnx.load(prepared)
    if not fused(model):
        return str(prepared)
    file = prepared.with_name("attended.onnx")
    onnx.save(model, file, save_as_external_data=False)
    return str(file)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the root logger, which the package writes notes of every tensor to, to warnings."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(max(before, logging.ERROR))
    try:
        yield
    finally:
        root.setLevel(before)


class _Batches:
    """What ONNX Runtime asks for batches; one after the other, until None."""

    def __init__(self, batches: Iterable[Feeds]) -> None:
        self._batches: Iterator[Feeds] = iter(batches)

    def get_next(self) -> dict[str, Any] | None:
        """Give the next batch."""
        found = next(self._batches, None)
        return None if found is None else dict(found)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Let it be: the batches come once, in order."""
        del start_index, end_index

"""ONNX graphs in half precision: weights and what is computed; inputs and outputs stay."""

from pathlib import Path

from streamer.errors import ConfigError, ModelError


def halve(source: Path, target: Path) -> None:
    """Write a graph that computes in fp16.

    What has no kernels in fp16, or would lose too much by it (resizing, choosing the largest),
    stays in fp32; so do inputs and outputs, so that whoever feeds it need not know.

    Args:
        source: a graph in fp32.
        target: where the new one goes, in one file.

    Raises:
        ConfigError: the package onnx is not installed.
        ModelError: the graph cannot be converted.
    """
    try:
        import onnx
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as error:
        message = "to write a model in fp16 install: pip install 'streamer[cpu,retrain]'"
        raise ConfigError(message) from error
    try:
        onnx.save(convert_float_to_float16(str(source), keep_io_types=True), target)
    except Exception as error:
        told = " ".join(str(error).split())
        raise ModelError(f"{source}: cannot be written in fp16: {told:.300}") from error

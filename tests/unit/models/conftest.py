from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

TYPES = {
    "float32": TensorProto.FLOAT,
    "uint8": TensorProto.UINT8,
    "int64": TensorProto.INT64,
    "string": TensorProto.STRING,
}


@pytest.fixture
def write_onnx() -> Callable[..., Path]:
    """Write a graph of no use but with the outside that is asked for."""

    def write(
        file: Path,
        inputs: dict[str, tuple[str, list[Any]]],
        outputs: dict[str, tuple[str, list[Any]]],
        nodes: list[onnx.NodeProto] | None = None,
        *,
        metadata: dict[str, str] | None = None,
        initializers: list[onnx.TensorProto] | None = None,
    ) -> Path:
        graph = helper.make_graph(
            nodes or [helper.make_node("Identity", [next(iter(inputs))], [next(iter(outputs))])],
            "g",
            [helper.make_tensor_value_info(n, TYPES[t], s) for n, (t, s) in inputs.items()],
            [helper.make_tensor_value_info(n, TYPES[t], s) for n, (t, s) in outputs.items()],
            initializers or [],
        )
        model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])
        helper.set_model_props(model, metadata or {})
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(model.SerializeToString())
        return file

    return write

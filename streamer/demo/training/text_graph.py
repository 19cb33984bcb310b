"""Pieces of ONNX graphs that the demo's text models share."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
_LARGE = 1024
_IR_VERSION = 8  # of the ONNX release that brought opset 17: old runtimes read it


class GraphBuilder:
    """Collects the nodes and constants of a graph that takes `input_ids` and `attention_mask`."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        """Add a constant and return its name."""
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add a node with one output and return the output's name."""
        self._nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def float_mask(self) -> str:
        """Return the mask as float32 [N, L, 1]."""
        axis = self.constant("last_axis", np.array([2], np.int64))
        floats = self.node("Cast", ["attention_mask"], "mask_float", to=TensorProto.FLOAT)
        return self.node("Unsqueeze", [floats, axis], "mask")

    def rows(self, table: NDArray[np.float32], name: str) -> str:
        """Look the ids up in a table that is stored as int8 with one scale a row."""
        quantised, scales = quantised_rows(table)
        stored = self.constant(f"{name}_int8", quantised)
        picked = self.node("Gather", [stored, "input_ids"], f"{name}_picked")
        floats = self.node("Cast", [picked], f"{name}_float", to=TensorProto.FLOAT)
        scale = self.node(
            "Gather", [self.constant(f"{name}_scales", scales), "input_ids"], f"{name}_scale"
        )
        return self.node("Mul", [floats, scale], f"{name}_rows")

    def save(self, path: Path, output: str, shape: list[str | int]) -> None:
        """Check the graph and write it, batch and length free."""
        tensors = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"])
            for name in ("input_ids", "attention_mask")
        ]
        outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)]
        graph = helper.make_graph(self._nodes, path.parent.parent.name, tensors, outputs)
        graph.initializer.extend(self._constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION
        )
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)


def halve_constants(path: Path) -> None:
    """Store a file's larger float32 constants as float16; they are widened again when it loads."""
    model = onnx.load(path)
    widened = []
    for constant in model.graph.initializer:
        values = numpy_helper.to_array(constant)
        if values.dtype != np.float32 or values.size < _LARGE:
            continue
        name = constant.name
        constant.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        widened.append(
            helper.make_node(
                "Cast", [f"{name}_half"], [name], name=f"{name}_widened", to=TensorProto.FLOAT
            )
        )
    nodes = [*widened, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def quantised_rows(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round each row to 127 steps of its largest value: int8 [V, D] and float32 scales [V, 1]."""
    largest = np.abs(table).max(axis=1, keepdims=True)
    scales = (np.where(largest > 0, largest, 1.0) / 127).astype(np.float32)
    return np.rint(table / scales).astype(np.int8), scales

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from streamer.models import Manifest, Version

TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "uint8": TensorProto.UINT8,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "string": TensorProto.STRING,
}
Sides = dict[str, tuple[str, list[Any]]]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a small module of Torch in every form that a file may have."""
    from support.torch_files import net_files  # Torch is not everywhere where these tests are

    return net_files(tmp_path_factory.mktemp("torch"))


@pytest.fixture
def version(tmp_path: Path) -> Callable[..., Version]:
    """Build a graph and a manifest for it."""

    def build(
        inputs: Sides,
        outputs: Sides,
        nodes: list[onnx.NodeProto],
        /,
        *,
        initializers: list[onnx.TensorProto] | None = None,
        domains: dict[str, int] | None = None,
        **manifest: Any,
    ) -> Version:
        graph = helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info(n, TYPES[t], s) for n, (t, s) in inputs.items()],
            [helper.make_tensor_value_info(n, TYPES[t], s) for n, (t, s) in outputs.items()],
            initializers or [],
        )
        opsets = {"": 17, **(domains or {})}
        model = helper.make_model(
            graph,
            ir_version=10,
            opset_imports=[helper.make_opsetid(*each) for each in opsets.items()],
        )
        file = tmp_path / "model.onnx"
        file.write_bytes(model.SerializeToString())
        described = {"name": "m", "task": "image-classification", **manifest}
        return Version(folder=tmp_path, manifest=Manifest.model_validate(described), file=file)

    return build


@pytest.fixture
def summing(version: Callable[..., Version]) -> Callable[..., Version]:
    """Build a model that sums up the values of each picture."""

    def build(batch: int | None = None, dtype: str = "float32", **manifest: Any) -> Version:
        size = {"height": 2, "width": 2}
        return version(
            {"x": (dtype, [batch, 3, 2, 2])},
            {"y": (dtype, [batch])},
            [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)],
            initializers=[numpy_helper.from_array(np.array([1, 2, 3]), "axes")],
            inputs={"x": {"kind": "image", "size": size, "dtype": dtype}},
            outputs={"y": {"decode": "score"}},
            **manifest,
        )

    return build

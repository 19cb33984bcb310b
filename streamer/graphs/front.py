"""A graph that takes pictures as bytes: cast, scaled and turned by nodes in front of it."""

from pathlib import Path
from typing import Any

import numpy as np

from streamer.errors import ConfigError, ModelError
from streamer.models.fused import Fusion

_LEAST_OPSET = 7
"""From here on products and sums spread over axes by themselves."""
_RANK = 4


def with_front(file: Path, fusion: Fusion) -> bytes:
    """Give an ONNX graph whose picture is uint8 [N, height, width, channels].

    Weights that lie beside the file stay there: the graph goes on naming their files.

    Raises:
        ConfigError: the package onnx is not installed.
        ModelError: the graph has no such input, or is too old.
    """
    try:
        import onnx
    except ImportError as error:
        message = "it needs the package onnx: pip install 'streamer[gpu]', or onnx alone"
        raise ConfigError(message) from error
    model = onnx.load(file, load_external_data=False)
    graph = model.graph
    opset = max((one.version for one in model.opset_import if not one.domain), default=0)
    if opset < _LEAST_OPSET:
        raise ModelError(f"{file}: opset {opset} is too old to be put behind other nodes")
    given = next((one for one in graph.input if one.name == fusion.tensor), None)
    if given is None:
        raise ModelError(f"{file}: there is no input '{fusion.tensor}'")
    if given.type.tensor_type.HasField("shape") and len(given.type.tensor_type.shape.dim) != _RANK:
        raise ModelError(f"{file}: input '{fusion.tensor}' has no four sides, as pictures have")
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    made = _free(f"{fusion.tensor}.normalised", taken)
    _redirect(graph, fusion.tensor, made)
    nodes = _nodes(fusion, made)
    nodes += graph.node
    del graph.node[:]
    graph.node.extend(nodes)
    _become_bytes(given, planar=fusion.planar)
    serialised: bytes = model.SerializeToString()
    return serialised


def _nodes(fusion: Fusion, made: str) -> list[Any]:
    """Make the nodes from bytes to `made`. The cast comes first: TensorRT asks for that."""
    from onnx import TensorProto, helper

    steps: list[tuple[str, list[str], dict[str, Any]]] = [("Cast", [], {"to": TensorProto.FLOAT})]
    nodes = []
    if fusion.flipped:
        nodes.append(_constant(f"{made}.order", np.array([2, 1, 0])))
        steps.append(("Gather", [f"{made}.order"], {"axis": 3}))
    if not fusion.as_is:
        nodes.append(_constant(f"{made}.scale", fusion.scale))
        nodes.append(_constant(f"{made}.shift", fusion.shift))
        steps += [("Mul", [f"{made}.scale"], {}), ("Add", [f"{made}.shift"], {})]
    if fusion.planar:
        steps.append(("Transpose", [], {"perm": [0, 3, 1, 2]}))
    if fusion.dtype == "float16":
        steps.append(("Cast", [], {"to": TensorProto.FLOAT16}))
    at = fusion.tensor
    for number, (kind, others, settings) in enumerate(steps, start=1):
        into = made if number == len(steps) else f"{made}.{number}"
        nodes.append(helper.make_node(kind, [at, *others], [into], **settings))
        at = into
    return nodes


def _constant(name: str, values: Any) -> Any:
    """Make a node of it: graphs of old versions list every initialiser among their inputs."""
    from onnx import helper, numpy_helper

    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(values))


def _redirect(graph: Any, before: str, after: str) -> None:
    """Let whatever reads a tensor read another one, in graphs within the graph, too."""
    for node in graph.node:
        for at, name in enumerate(node.input):
            if name == before:
                node.input[at] = after
        for setting in node.attribute:
            for inner in (setting.g, *setting.graphs):
                _redirect(inner, before, after)


def _become_bytes(given: Any, *, planar: bool) -> None:
    """Change an input's type to uint8, and its sides to [N, height, width, channels]."""
    from onnx import TensorProto

    tensor = given.type.tensor_type
    tensor.elem_type = TensorProto.UINT8
    if planar and tensor.HasField("shape"):
        items, channels, height, width = tensor.shape.dim
        order = [type(items).FromString(one.SerializeToString()) for one in (height, width)]
        order.append(type(items).FromString(channels.SerializeToString()))
        for side, one in zip(tensor.shape.dim[1:], order, strict=True):
            side.CopyFrom(one)


def _free(name: str, taken: set[str]) -> str:
    while any(one.startswith(name) for one in taken):
        name += "_"
    return name

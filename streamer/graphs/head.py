"""The head of a graph: found, and its input shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ConfigError, ModelError

_PRODUCTS = ("Gemm", "MatMul")
_BEHIND = (
    "Add",
    "Cast",
    "Clip",
    "Div",
    "Flatten",
    "Identity",
    "LogSoftmax",
    "Mul",
    "Reshape",
    "Sigmoid",
    "Softmax",
    "Squeeze",
    "Sub",
)
_FOLDED = ("Cast", "Identity", "Transpose")
_FLAT = 2
HIDDEN = "head.hidden"
"""What the tensors of a head's hidden layer are called."""


@dataclass(frozen=True)
class Head:
    """The last product of a graph.

    Attributes:
        output: the graph's output that it makes.
        features: the tensor that it works on.
        weights: float32 [labels, features], with `bias`; None where the graph does not hold them
            as plain numbers.
    """

    output: str
    features: str
    weights: NDArray[np.float32] | None = None
    bias: NDArray[np.float32] | None = None


def find_head(file: Path, output: str, features: str | None = None) -> Head:
    """Find what makes an output from features.

    Args:
        file: the ONNX file.
        output: its output.
        features: the tensor that counts as features; the input of the last product if None.

    Raises:
        ConfigError: onnx is not installed, or there is no such tensor.
        ModelError: no product of fixed weights leads to the output.
    """
    graph = load(file).graph
    made = {name: node for node in graph.node for name in node.output}
    if output not in {one.name for one in graph.output}:
        raise ModelError(f"{file}: there is no output '{output}'")
    found = _last_product(made, _constants(graph), output)
    if features is not None:
        if features not in made and features not in {one.name for one in graph.input}:
            raise ConfigError(f"strategy.features: {file} has no tensor '{features}'")
        if found is None or found.features != features:
            return Head(output, features)
        return found
    if found is None:
        raise ModelError(
            f"{file}: no matrix product with weights of its own leads to '{output}'; "
            "write strategy: {features: TENSOR}, the tensor that a new head is to work on"
        )
    return found


def expose(file: Path, head: Head, target: Path) -> None:
    """Write a graph that gives its features beside its outputs."""
    import onnx
    from onnx import TensorProto, helper

    model = load(file)
    if head.features not in {one.name for one in model.graph.output}:
        model.graph.output.append(
            helper.make_tensor_value_info(head.features, TensorProto.FLOAT, None)
        )
    onnx.save(model, target)  # its shape is not known, which onnx's checker minds


def find_hidden(file: Path, head: Head) -> Head | None:
    """Find the hidden layer that `with_head` has put before a head; None if there is none.

    Its `features` are what that layer works on, its weights and bias those of the layer.
    """
    graph = load(file).graph
    made = {name: node for node in graph.node for name in node.output}
    above = made.get(head.features)
    if above is None or above.op_type != "Relu":
        return None
    node = made.get(above.input[0])
    if node is None or not any(HIDDEN in name for name in node.input):
        return None
    constants = _constants(graph)
    flat = next((one for one in node.input if one not in constants), "")
    if node.op_type == "Add":  # of a head on each token
        product = made[flat]
        weights, bias = constants[product.input[1]].T, constants[node.input[1]]
        return Head(head.output, product.input[0], weights, bias)
    features = made[flat].input[0] if made[flat].op_type == "Flatten" else flat
    return Head(head.output, features, constants[node.input[1]], constants[node.input[2]])


@dataclass
class _Behind:
    """What stands between the last product and an output."""

    output: str
    shift: NDArray[Any] = field(default_factory=lambda: np.zeros(1, np.float32))
    scaled: bool = False

    def head(self, node: Any, weights: NDArray[Any], added: NDArray[Any] | None) -> Head:
        """Give the head that a product of these weights is, and what it adds."""
        bias = np.zeros(len(weights), np.float32) + self.shift
        if added is not None:
            bias = bias + added.reshape(-1)
        return Head(self.output, node.input[0], weights.astype(np.float32), bias.astype(np.float32))


def _last_product(
    made: Mapping[str, Any], constants: Mapping[str, NDArray[Any]], output: str
) -> Head | None:
    """Walk back from an output over what only shifts, scales or squashes."""
    name, behind = output, _Behind(output)
    while name in made:
        node = made[name]
        if node.op_type == "Conv":
            return _of_convolution(node, constants, behind)
        if node.op_type in _PRODUCTS:
            return _of_product(node, constants, behind)
        if node.op_type not in _BEHIND:
            return None
        flowing = [one for one in node.input if one and one not in constants]
        if node.op_type == "Add" and len(flowing) == 1 and not behind.scaled:
            [other] = [one for one in node.input if one != flowing[0]]
            behind.shift = behind.shift + constants[other].reshape(-1)
        elif node.op_type in ("Mul", "Div", "Sub", "Clip"):
            behind.scaled = True
        if not flowing:
            return None
        name = flowing[0]
    return None


def _of_convolution(
    node: Any, constants: Mapping[str, NDArray[Any]], behind: _Behind
) -> Head | None:
    """Read a convolution of single points as a product: mobile networks end so."""
    weights = constants.get(node.input[1])
    if weights is None or weights.ndim <= _FLAT or weights[0, 0].size != 1:
        return None
    settings = {one.name: one for one in node.attribute}
    if "group" in settings and settings["group"].i != 1:
        return None
    if behind.scaled:
        return Head(behind.output, node.input[0])
    added = constants[node.input[2]] if len(node.input) > 2 else None  # noqa: PLR2004 - its bias
    return behind.head(node, weights.reshape(len(weights), -1), added)


def _of_product(node: Any, constants: Mapping[str, NDArray[Any]], behind: _Behind) -> Head | None:
    settings = {one.name: one for one in node.attribute}
    if node.input[0] in constants:
        return None
    weights = constants.get(node.input[1])
    plain = not behind.scaled and not ("transA" in settings and settings["transA"].i)
    plain = plain and all(
        name not in settings or settings[name].f == 1 for name in ("alpha", "beta")
    )
    if weights is None or weights.ndim != _FLAT or not plain:
        return Head(behind.output, node.input[0])
    if not ("transB" in settings and settings["transB"].i):
        weights = weights.T
    added = None
    if len(node.input) > 2 and node.input[2]:  # noqa: PLR2004 - Gemm's C
        added = constants.get(node.input[2])
        if added is None:
            return Head(behind.output, node.input[0])
    return behind.head(node, weights, added)


def _constants(graph: Any) -> dict[str, NDArray[Any]]:
    from onnx import numpy_helper

    found = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            values = [one for one in node.attribute if one.name == "value"]
            if values:
                found[node.output[0]] = numpy_helper.to_array(values[0].t)
        elif node.op_type in _FOLDED and node.input[0] in found:
            found[node.output[0]] = _folded(node, found[node.input[0]])
    return found


def _folded(node: Any, value: NDArray[Any]) -> NDArray[Any]:
    """Compute what a node makes of a constant: weights are often stored smaller, or turned."""
    from onnx import helper

    settings = {one.name: one for one in node.attribute}
    if node.op_type == "Transpose":
        return value.transpose(list(settings["perm"].ints) if "perm" in settings else None)
    if node.op_type == "Cast":
        return value.astype(helper.tensor_dtype_to_np_dtype(settings["to"].i))
    return value


def load(file: Path) -> Any:
    """Read a graph that a head is learnt on.

    Raises:
        ConfigError: it is no ONNX file, or onnx is not installed.
    """
    if file.suffix != ".onnx":
        raise ConfigError(f"{file}: a head can be replaced in ONNX files only")
    try:
        import onnx
    except ImportError as error:
        message = "to learn a head install: pip install 'streamer[retrain]'"
        raise ConfigError(message) from error
    return onnx.load(file)

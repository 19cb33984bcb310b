"""The linear head of a graph: found, its input shown, and another one put in its place."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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
After = Literal["none", "softmax", "sigmoid"]


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
    graph = _load(file).graph
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

    model = _load(file)
    if head.features not in {one.name for one in model.graph.output}:
        model.graph.output.append(
            helper.make_tensor_value_info(head.features, TensorProto.FLOAT, None)
        )
    onnx.save(model, target)  # its shape is not known, which onnx's checker minds


def with_head(  # noqa: PLR0913 - the parts of a head
    file: Path,
    head: Head,
    weights: NDArray[np.float32],
    bias: NDArray[np.float32],
    target: Path,
    *,
    after: After = "none",
) -> None:
    """Write the graph with another head, and nothing of the old one.

    Args:
        file: the graph.
        head: what is replaced.
        weights: [labels, features].
        bias: [labels].
        target: the file that is written.
        after: what makes probabilities, where the output holds those.

    Raises:
        ModelError: the graph does not stay sound.
    """
    from onnx import TensorProto, helper, numpy_helper

    model = _load(file)
    graph = model.graph
    for node in graph.node:
        for at, name in enumerate(node.output):
            if name == head.output:
                node.output[at] = f"{name}.replaced"
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    flat, product = _free("head.flat", taken), _free("head.product", taken)
    named = {"W": _free("head.weights", taken), "b": _free("head.bias", taken)}
    graph.initializer.append(numpy_helper.from_array(weights.astype(np.float32), named["W"]))
    graph.initializer.append(numpy_helper.from_array(bias.astype(np.float32), named["b"]))
    scores = head.output if after == "none" else product
    nodes = [
        helper.make_node("Flatten", [head.features], [flat], axis=1),
        helper.make_node("Gemm", [flat, named["W"], named["b"]], [scores], transB=1),
    ]
    if after != "none":
        last = helper.make_node("Sigmoid", [product], [head.output])
        if after == "softmax":
            last = helper.make_node("Softmax", [product], [head.output], axis=1)
        nodes.append(last)
    graph.node.extend(nodes)
    for one in graph.output:
        if one.name == head.output:
            one.CopyFrom(
                helper.make_tensor_value_info(one.name, TensorProto.FLOAT, ["N", len(bias)])
            )
    _prune(graph)
    _save(model, target)


def _last_product(
    made: Mapping[str, Any], constants: Mapping[str, NDArray[Any]], output: str
) -> Head | None:
    """Walk back from an output over what only shifts, scales or squashes."""
    name, shift = output, np.zeros(1, np.float32)
    scaled = False
    while name in made:
        node = made[name]
        if node.op_type in _PRODUCTS:
            return _of_product(node, constants, output, shift, scaled=scaled)
        if node.op_type not in _BEHIND:
            return None
        flowing = [one for one in node.input if one and one not in constants]
        if node.op_type == "Add" and len(flowing) == 1 and not scaled:
            [other] = [one for one in node.input if one != flowing[0]]
            shift = shift + constants[other].reshape(-1)
        elif node.op_type in ("Mul", "Div", "Sub", "Clip"):
            scaled = True
        if not flowing:
            return None
        name = flowing[0]
    return None


def _of_product(
    node: Any,
    constants: Mapping[str, NDArray[Any]],
    output: str,
    shift: NDArray[Any],
    *,
    scaled: bool,
) -> Head | None:
    settings = {one.name: one for one in node.attribute}
    if node.input[0] in constants:
        return None
    weights = constants.get(node.input[1])
    plain = not scaled and not ("transA" in settings and settings["transA"].i)
    plain = plain and all(
        name not in settings or settings[name].f == 1 for name in ("alpha", "beta")
    )
    if weights is None or weights.ndim != _FLAT or not plain:
        return Head(output, node.input[0])
    if not ("transB" in settings and settings["transB"].i):
        weights = weights.T
    bias = np.zeros(len(weights), np.float32) + shift
    if len(node.input) > 2 and node.input[2]:  # noqa: PLR2004 - Gemm's C
        added = constants.get(node.input[2])
        if added is None:
            return Head(output, node.input[0])
        bias = bias + added.reshape(-1)
    return Head(output, node.input[0], weights.astype(np.float32), bias.astype(np.float32))


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


def _prune(graph: Any) -> None:
    """Remove what no output needs any more."""
    made = {name: node for node in graph.node for name in node.output}
    needed: set[str] = set()
    waiting = [one.name for one in graph.output]
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        needed.add(name)
        if name in made:
            waiting += [one for one in _inputs(made[name]) if one]
    kept = [node for node in graph.node if any(name in needed for name in node.output)]
    order = _sorted(kept)
    del graph.node[:]
    graph.node.extend(order)
    weights = [one for one in graph.initializer if one.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(weights)
    del graph.value_info[:]


def _inputs(node: Any) -> list[str]:
    """Name what a node takes, its sub-graphs' outer tensors too."""
    names = list(node.input)
    for setting in node.attribute:
        for graph in (setting.g, *setting.graphs):
            inner = {name for one in graph.node for name in one.output}
            for one in graph.node:
                names += [name for name in _inputs(one) if name not in inner]
            names += [one.name for one in graph.output if one.name not in inner]
    return names


def _sorted(nodes: list[Any]) -> list[Any]:
    """Order nodes so that each stands behind what it needs; they mostly do already."""
    made = {name for node in nodes for name in node.output}
    done: set[str] = set()
    ordered: list[Any] = []
    waiting = list(nodes)
    while waiting:
        ready = [n for n in waiting if all(i in done or i not in made for i in _inputs(n))]
        if not ready:
            raise ModelError("the graph has a circle")
        ordered += ready
        done |= {name for node in ready for name in node.output}
        chosen = {id(node) for node in ready}
        waiting = [node for node in waiting if id(node) not in chosen]
    return ordered


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _load(file: Path) -> Any:
    if file.suffix != ".onnx":
        raise ConfigError(f"{file}: a head can be replaced in ONNX files only")
    try:
        import onnx
    except ImportError as error:
        message = "to learn a head install: pip install 'streamer[retrain]'"
        raise ConfigError(message) from error
    return onnx.load(file)


def _save(model: Any, target: Path) -> None:
    import onnx

    try:
        onnx.checker.check_model(model)
        onnx.save(model, target)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ModelError(f"{target}: {' '.join(str(error).split()):.300}") from error

"""A graph with another head in the place of the one that it had."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ModelError
from streamer.graphs.head import HIDDEN, Head, load

After = Literal["none", "softmax", "sigmoid"]


def with_head(  # noqa: PLR0913 - the parts of a head
    file: Path,
    head: Head,
    layers: Sequence[tuple[NDArray[Any], NDArray[Any]]],
    target: Path,
    *,
    after: After = "none",
    each: bool = False,
) -> None:
    """Write the graph with another head, and nothing of the old one.

    Args:
        file: the graph.
        head: what is replaced.
        layers: weights [units, features] and bias [units] of each; the last one's units are the
            labels, those before are cut off below 0.
        target: the file that is written.
        after: what makes probabilities, where the output holds those.
        each: whether it works on each place of a sequence, [N, L, features].

    Raises:
        ModelError: the graph does not stay sound.
    """
    from onnx import TensorProto, helper

    model = load(file)
    graph = model.graph
    for node in graph.node:
        for at, name in enumerate(node.output):
            if name == head.output:
                node.output[at] = f"{name}.replaced"
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    labels = len(layers[-1][1])
    product = _free("head.product", taken)
    scores = head.output if after == "none" else product
    make = _on_each if each else _on_all
    nodes = make(graph, head.features, layers, scores, taken)
    if after != "none":
        last = helper.make_node("Sigmoid", [product], [head.output])
        if after == "softmax":
            last = helper.make_node("Softmax", [product], [head.output], axis=-1)
        nodes.append(last)
    graph.node.extend(nodes)
    for one in graph.output:
        if one.name == head.output:
            sides: list[str | int | None] = ["N", "L", labels] if each else ["N", labels]
            one.CopyFrom(helper.make_tensor_value_info(one.name, TensorProto.FLOAT, sides))
    _prune(graph)
    _save(model, target)


def projected(file: Path, output: str, matrix: NDArray[Any], target: Path) -> None:
    """Write the graph with the vectors of an output multiplied by a matrix, [new, old].

    Raises:
        ModelError: the graph does not stay sound.
    """
    from onnx import helper, numpy_helper

    model = load(file)
    graph = model.graph
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    before, name = _free(f"{output}.before", taken), _free("head.matrix", taken)
    for node in graph.node:
        for names in (node.input, node.output):
            for at, one in enumerate(names):
                if one == output:
                    names[at] = before
    stored = np.ascontiguousarray(matrix.T, np.float32)
    graph.initializer.append(numpy_helper.from_array(stored, name))
    graph.node.append(helper.make_node("MatMul", [before, name], [output]))
    _save(model, target)


def _on_all(
    graph: Any, features: str, layers: Sequence[Any], scores: str, taken: set[str]
) -> list[Any]:
    """Make the nodes of a head on one row of features an item."""
    from onnx import helper

    at = _free("head.flat", taken)
    nodes = [helper.make_node("Flatten", [features], [at], axis=1)]
    for (weights, bias), into in _steps(layers, scores, taken):
        named = _stored(graph, into, taken, weights, bias, last=into == scores)
        nodes.append(helper.make_node("Gemm", [at, *named], [into], transB=1))
        at = into
        if into != scores:
            at = f"{into}.above"
            nodes.append(helper.make_node("Relu", [into], [at]))
    return nodes


def _on_each(
    graph: Any, features: str, layers: Sequence[Any], scores: str, taken: set[str]
) -> list[Any]:
    """Make the nodes of a head on each place of a sequence."""
    from onnx import helper

    at, nodes = features, []
    for (weights, bias), into in _steps(layers, scores, taken):
        named = _stored(graph, into, taken, weights.T, bias, last=into == scores)
        nodes.append(helper.make_node("MatMul", [at, named[0]], [f"{into}.product"]))
        nodes.append(helper.make_node("Add", [f"{into}.product", named[1]], [into]))
        at = into
        if into != scores:
            at = f"{into}.above"
            nodes.append(helper.make_node("Relu", [into], [at]))
    return nodes


def _steps(layers: Sequence[Any], scores: str, taken: set[str]) -> Iterator[tuple[Any, str]]:
    """Give each layer with the tensor that it makes."""
    for number, layer in enumerate(layers):
        last = number == len(layers) - 1
        yield layer, scores if last else _free(HIDDEN, taken)


def _stored(  # noqa: PLR0913 - both tensors of a layer
    graph: Any, into: str, taken: set[str], weights: Any, bias: Any, *, last: bool
) -> list[str]:
    """Put a layer's numbers into the graph; give their names."""
    from onnx import numpy_helper

    stem = "head" if last else into
    named = [_free(f"{stem}.weights", taken), _free(f"{stem}.bias", taken)]
    for name, values in zip(named, (weights, bias), strict=True):
        stored = np.ascontiguousarray(values, np.float32)
        graph.initializer.append(numpy_helper.from_array(stored, name))
    return named


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


def _save(model: Any, target: Path) -> None:
    import onnx

    try:
        onnx.checker.check_model(model)
        onnx.save(model, target)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ModelError(f"{target}: {' '.join(str(error).split()):.300}") from error

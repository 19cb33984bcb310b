"""Attention as exporters write it out, node by node, put back into one node.

What is looked for is the product that `scaled_dot_product_attention` and the plain code of
transformers come to: queries, keys and values split into heads, scores scaled and masked, weights,
heads joined. ONNX Runtime's MultiHeadAttention computes the same without writing each step out.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

_HEADS_FIRST, _HEADS_LAST = (0, 2, 1, 3), (0, 2, 3, 1)
_DOMAIN = "com.microsoft"


@dataclass(frozen=True)
class Found:
    """One attention.

    Attributes:
        inputs: queries, keys, values [N, tokens, heads * numbers], and the mask that is added.
        heads: how many.
        scale: of the scores.
        output: name of the joined heads.
        last: the node that writes it.
        guarded: whether tokens that may look at nothing got zeros.
    """

    inputs: tuple[str, str, str, str]
    heads: int
    scale: float
    output: str
    last: onnx.NodeProto
    guarded: bool


def fused(model: onnx.ModelProto) -> int:
    """Put attentions into one node each, in place; give how many were found."""
    graph = _Graph(model.graph)
    found = [
        one
        for node in model.graph.node
        if node.op_type == "Softmax" and (one := graph.attention(node)) is not None
    ]
    found = [one for one in found if not one.guarded or graph.made_finite(one.inputs[3])]
    for one in found:
        mask = graph.widened(one) if one.inputs[3] else []
        new = helper.make_node(
            "MultiHeadAttention",
            [*one.inputs[:3], "", "", *mask],
            [one.output],
            name=f"{one.output}.attention",
            domain=_DOMAIN,
            num_heads=one.heads,
            scale=one.scale,
        )
        one.last.CopyFrom(new)
    if found:
        _pruned(model.graph)
        if not any(entry.domain == _DOMAIN for entry in model.opset_import):
            model.opset_import.append(helper.make_opsetid(_DOMAIN, 1))
    return len(found)


class _Graph:
    """Who writes and who reads each tensor."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._writers = {name: node for node in graph.node for name in node.output}
        self._readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self._readers[name].append(node)
        self._constants = {one.name: one for one in graph.initializer}

    def attention(self, softmax: onnx.NodeProto) -> Found | None:
        """Read the attention around a softmax; None if it is another one."""
        scores, mask = self._masked(softmax.input[0])
        product, scale = self._unscaled(scores)
        if product is None or product.op_type != "MatMul":
            return None
        queries, by_queries = self._unscaled_tensor(product.input[0])
        keys, by_keys = self._unscaled_tensor(product.input[1])
        weighted, guarded = self._weighted(softmax)
        if weighted is None:
            return None
        heads = [
            self._split(queries, _HEADS_FIRST),
            self._split(keys, _HEADS_LAST),
            self._split(weighted.input[1], _HEADS_FIRST),
        ]
        joined = self._joined(weighted.output[0])
        if joined is None or any(one is None for one in heads):
            return None
        (q, count), (k, _), (v, _) = heads  # type: ignore[misc]
        scale *= by_queries * by_keys
        return Found((q, k, v, mask), count, scale, joined.output[0], joined, guarded)

    def made_finite(self, mask: str) -> bool:
        """Let a mask forbid by the lowest number instead of infinity, which makes no NaN.

        A token that may look at nothing looks at all of them then: padding, whose vectors count
        nowhere.
        """
        where = self._writers.get(mask)
        if where is None or where.op_type != "Where":
            return False
        for at, name in enumerate(where.input[1:], 1):
            if self._number(name) == -np.inf:
                lowest = np.array(np.finfo(np.float32).min, np.float32)
                new = numpy_helper.from_array(lowest, f"{mask}.lowest")
                self._graph.initializer.append(new)
                self._constants[new.name] = new
                where.input[at] = new.name
        return all(self._number(name) not in (-np.inf, None) for name in where.input[1:])

    def widened(self, one: Found) -> list[str]:
        """Give the mask as it is for every query: one row for all of them is not taken."""
        for name, value in (("attention.one", [1]), ("attention.ones", [1, 1])):
            if name not in self._constants:
                new = numpy_helper.from_array(np.array(value, np.int64), name)
                self._graph.initializer.append(new)
                self._constants[name] = new
        stem = f"{one.output}.mask"
        nodes = [
            helper.make_node("Shape", [one.inputs[0]], [f"{stem}.shape"]),
            helper.make_node("Gather", [f"{stem}.shape", "attention.one"], [f"{stem}.tokens"]),
            helper.make_node(
                "Concat",
                ["attention.ones", f"{stem}.tokens", "attention.one"],
                [f"{stem}.wanted"],
                axis=0,
            ),
            helper.make_node("Expand", [one.inputs[3], f"{stem}.wanted"], [stem]),
        ]
        at = next(n for n, node in enumerate(self._graph.node) if one.output in node.output)
        for node in reversed(nodes):
            self._graph.node.insert(at, node)
        return [stem]

    def _masked(self, name: str) -> tuple[str, str]:
        """Give scores, and what is added to them; an empty name if nothing is."""
        node = self._writers.get(name)
        if node is None or node.op_type != "Add":
            return name, ""
        first, second = node.input
        writer = self._writers.get(first)
        if writer is not None and writer.op_type in ("MatMul", "Mul", "Div"):
            return first, second
        return second, first

    def _unscaled(self, name: str) -> tuple[onnx.NodeProto | None, float]:
        tensor, scale = self._unscaled_tensor(name)
        return self._writers.get(tensor), scale

    def _unscaled_tensor(self, name: str) -> tuple[str, float]:
        """Look through a product with, or a division by, one number."""
        node = self._writers.get(name)
        if node is None or node.op_type not in ("Mul", "Div"):
            return name, 1.0
        number = self._number(node.input[1])
        if number is not None:
            return node.input[0], number if node.op_type == "Mul" else 1 / number
        number = self._number(node.input[0])
        return (
            (node.input[1], number) if number is not None and node.op_type == "Mul" else (name, 1.0)
        )

    def _weighted(self, softmax: onnx.NodeProto) -> tuple[onnx.NodeProto | None, bool]:
        """Find the product with the values, and whether what is no number is 0 before it."""
        readers = self._readers[softmax.output[0]]
        guarded = sorted(node.op_type for node in readers) == ["IsNaN", "Where"]
        if guarded:
            where = next(node for node in readers if node.op_type == "Where")
            readers = self._readers[where.output[0]]
        if len(readers) != 1 or readers[0].op_type != "MatMul":
            return None, guarded
        return readers[0], guarded

    def _split(self, name: str, order: Sequence[int]) -> tuple[str, int] | None:
        """Give the tensor that was split into heads, and their number."""
        transpose = self._writers.get(name)
        if transpose is None or transpose.op_type != "Transpose":
            return None
        reshape = self._writers.get(transpose.input[0])
        if reshape is None or reshape.op_type != "Reshape" or _order(transpose) != tuple(order):
            return None
        sizes = self._sizes(reshape.input[1])
        if len(sizes) != 4:  # noqa: PLR2004 - items, tokens, heads, numbers
            return None
        heads, numbers = sizes[2:]
        if heads <= 0:
            heads = self._width(reshape.input[0]) // numbers if numbers > 0 else 0
        return (reshape.input[0], heads) if heads > 0 else None

    def _width(self, name: str) -> int:
        """Give the last axis of what a layer writes, by its bias or its weights; 0 if unknown."""
        node = self._writers.get(name)
        if node is None or node.op_type not in ("Add", "MatMul", "Gemm"):
            return 0
        shapes = [self._constants[one].dims for one in node.input if one in self._constants]
        return int(shapes[-1][-1]) if shapes and shapes[-1] else 0

    def _joined(self, name: str) -> onnx.NodeProto | None:
        """Find the node that puts heads together again."""
        seen = []
        for _ in range(3):
            readers = [node for node in self._readers[name] if node.op_type != "Shape"]
            if len(readers) != 1 or readers[0].op_type not in ("Reshape", "Transpose"):
                return None
            [node] = readers
            seen.append(node)
            name = node.output[0]
            if len(seen) > 1 and node.op_type == "Reshape" and seen[-2].op_type == "Transpose":
                return node if _order(seen[-2]) == _HEADS_FIRST else None
        return None

    def _sizes(self, name: str) -> list[int]:
        """Read a shape that is put together; -1 for what is not known."""
        if name in self._constants:
            return [int(n) for n in numpy_helper.to_array(self._constants[name]).reshape(-1)]
        node = self._writers.get(name)
        if node is None or node.op_type != "Concat":
            return [-1]
        return [size for part in node.input for size in self._sizes(part)]

    def _number(self, name: str) -> float | None:
        constant = self._constants.get(name)
        if constant is None:
            return None
        value = numpy_helper.to_array(constant)
        return float(value.reshape(())) if value.size == 1 else None


def _order(transpose: onnx.NodeProto) -> tuple[int, ...]:
    return next((tuple(one.ints) for one in transpose.attribute if one.name == "perm"), ())


def _pruned(graph: onnx.GraphProto) -> None:
    """Remove nodes and weights that nothing reads any more."""
    while True:
        read = {name for node in graph.node for name in node.input}
        read |= {one.name for one in graph.output}
        idle = [node for node in graph.node if not read & set(node.output)]
        if not idle:
            break
        for node in idle:
            graph.node.remove(node)
    unread = [one for one in graph.initializer if one.name not in read]
    for one in unread:
        graph.initializer.remove(one)

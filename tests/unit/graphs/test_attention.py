"""Attention written out node by node, as exporters do, and put back into one node."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from streamer.graphs.attention import fused

HEADS, NUMBERS, WIDTH = 2, 4, 8
RANDOM = np.random.default_rng(0)


def written_out(*, guarded=False, eager=False, order=(0, 2, 1, 3)):
    """Build an attention over `x` with a mask of tokens, as transformers' code is exported."""
    nodes, constants = [], {}

    def add(op, inputs, output, **attributes):
        nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def constant(name, value):
        constants[name] = numpy_helper.from_array(value, name)
        return name

    shape = constant("heads", np.array([0, 0, -1, NUMBERS], np.int64))
    root = constant("root", np.array(NUMBERS**-0.25, np.float32))
    split = {}
    for name in ("query", "key", "value"):
        weights = constant(f"{name}.w", RANDOM.normal(size=(WIDTH, WIDTH)).astype(np.float32))
        bias = constant(f"{name}.b", RANDOM.normal(size=WIDTH).astype(np.float32))
        add("MatMul", ["x", weights], f"{name}.product")
        add("Add", [f"{name}.product", bias], name)
        add("Reshape", [name, shape], f"{name}.split")
        turned = (0, 2, 3, 1) if name == "key" else order
        split[name] = add("Transpose", [f"{name}.split"], f"{name}.heads", perm=list(turned))
    if eager:
        add("MatMul", [split["query"], split["key"]], "products")
        constant("scale", np.array(NUMBERS**0.5, np.float32))
        add("Div", ["products", "scale"], "scores")
    else:
        add("Mul", [split["query"], root], "q")
        add("Mul", [split["key"], root], "k")
        add("MatMul", ["q", "k"], "scores")
    add("Unsqueeze", ["mask", constant("axes", np.array([1, 2], np.int64))], "wide")
    nothing, never = np.array(0, np.float32), np.array(-np.inf, np.float32)
    add("Where", ["wide", constant("zero", nothing), constant("never", never)], "added")
    add("Add", ["scores", "added"], "masked")
    weights = add("Softmax", ["masked"], "weights", axis=-1)
    if guarded:
        add("IsNaN", [weights], "lost")
        weights = add("Where", ["lost", "zero", weights], "kept")
    add("MatMul", [weights, split["value"]], "found")
    add("Transpose", ["found"], "turned", perm=[0, 2, 1, 3])
    add("Reshape", ["turned", constant("joined", np.array([0, 0, WIDTH], np.int64))], "y")
    graph = helper.make_graph(
        nodes,
        "attention",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", "L", WIDTH]),
            helper.make_tensor_value_info("mask", TensorProto.BOOL, ["N", "L"]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", "L", WIDTH])],
        list(constants.values()),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def answered(model, mask):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    x = np.random.default_rng(1).normal(size=(*mask.shape, WIDTH)).astype(np.float32)
    [found] = session.run(None, {"x": x, "mask": mask})
    return found


@pytest.fixture
def mask():
    return np.array([[True] * 5, [True, True, True, False, False]])


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("guarded", [True, False])
def test_one_node_computes_the_same(mask, eager, guarded):
    model = written_out(eager=eager, guarded=guarded)
    before = answered(model, mask)
    assert fused(model) == 1
    onnx.checker.check_model(model)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("MultiHeadAttention") == 1
    assert not {"Softmax", "Transpose", "IsNaN"} & set(kinds)
    assert np.allclose(answered(model, mask), before, atol=1e-5)


def test_rows_that_may_look_at_nothing_stay_numbers_where_they_were_guarded():
    model = written_out(guarded=True)
    nowhere = np.array([[True, True], [False, False]])
    before = answered(model, nowhere)
    fused(model)
    after = answered(model, nowhere)
    assert np.isfinite(after).all()
    assert np.allclose(after[0], before[0], atol=1e-5)


def test_heads_in_another_order_are_left_alone(mask):
    model = written_out(order=(0, 2, 3, 1))
    before = model.SerializeToString()
    assert fused(model) == 0
    assert model.SerializeToString() == before

"""The last product of a graph: found, shown, and another one put in its place."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from support import learning, tiny

from streamer.errors import ConfigError, ModelError
from streamer.graphs.head import expose, find_head, find_hidden
from streamer.graphs.headed import with_head


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def graph_file(path, nodes, weights, output=3):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 5])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["N", output])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    made = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(made, path)
    return path


def run(path, x, names=None):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(names, {"x": x})


def weights(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("form", ["gemm", "matmul", "softmax"])
def test_the_head_that_is_found_computes_what_the_graph_does(tmp_path, rng, form):
    w, b = weights(rng, 3, 4), weights(rng, 3)
    first = helper.make_node("MatMul", ["x", "v"], ["h"])
    relu = helper.make_node("Relu", ["h"], ["features"])
    last = {
        "gemm": [helper.make_node("Gemm", ["features", "w", "b"], ["out"], transB=1)],
        "matmul": [
            helper.make_node("MatMul", ["features", "w"], ["m"]),
            helper.make_node("Add", ["m", "b"], ["out"]),
        ],
        "softmax": [
            helper.make_node("Gemm", ["features", "w", "b"], ["m"], transB=1),
            helper.make_node("Softmax", ["m"], ["out"]),
        ],
    }[form]
    held = w.T.copy() if form == "matmul" else w
    file = graph_file(
        tmp_path / "m.onnx", [first, relu, *last], {"v": weights(rng, 5, 4), "w": held, "b": b}
    )
    head = find_head(file, "out")
    assert head.features == "features"
    np.testing.assert_allclose(head.weights, w)
    np.testing.assert_allclose(head.bias, b)
    expose(file, head, tmp_path / "e.onnx")
    x = weights(rng, 6, 5)
    out, features = run(tmp_path / "e.onnx", x, ["out", "features"])
    logits = features @ head.weights.T + head.bias
    if form == "softmax":
        logits = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(out, logits, rtol=1e-4, atol=1e-5)


def test_another_head_with_more_labels_takes_its_place_and_nothing_of_the_old_one_stays(tmp_path):
    folder = learning.model(tmp_path, "m")
    head = find_head(folder / "model.onnx", "logits")
    rng = np.random.default_rng(1)
    w, b = weights(rng, 6, len(learning.VOCABULARY)), weights(rng, 6)
    for after in ("none", "softmax"):
        with_head(folder / "model.onnx", head, [(w, b)], tmp_path / "new.onnx", after=after)
        model = onnx.load(tmp_path / "new.onnx")
        assert {one.name for one in model.graph.initializer} == {
            "words",
            "head.weights",
            "head.bias",
        }
        session = onnxruntime.InferenceSession(str(tmp_path / "new.onnx"))
        ids = rng.integers(0, len(learning.VOCABULARY), (3, 7))
        [found] = session.run(["logits"], {"input_ids": ids})
        counts = np.eye(len(learning.VOCABULARY), dtype=np.float32)[ids].mean(axis=1)
        expected = counts @ w.T + b
        if after == "softmax":
            expected = np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_graph_without_such_a_product_says_what_to_write(tmp_path):
    folder = tiny.picture_model(tmp_path)
    with pytest.raises(ModelError, match=r"write strategy: \{features: TENSOR\}"):
        find_head(folder / "model.onnx", "logits")
    with pytest.raises(ConfigError, match="no tensor 'nowhere'"):
        find_head(folder / "model.onnx", "logits", "nowhere")
    assert find_head(folder / "model.onnx", "logits", "pixels").weights is None


def test_a_convolution_of_single_points_is_a_head_too(tmp_path, rng):
    w, b = weights(rng, 3, 4, 1, 1), weights(rng, 3)
    nodes = [
        helper.make_node("MatMul", ["x", "v"], ["h"]),
        helper.make_node("Reshape", ["h", "points"], ["features"]),
        helper.make_node("Conv", ["features", "w", "b"], ["c"]),
        helper.make_node("Flatten", ["c"], ["out"]),
    ]
    held = {"v": weights(rng, 5, 4), "points": np.array([-1, 4, 1, 1]), "w": w, "b": b}
    file = graph_file(tmp_path / "m.onnx", nodes, held)
    head = find_head(file, "out")
    assert head.features == "features"
    x = weights(rng, 6, 5)
    [expected] = run(file, x)
    with_head(file, head, [(head.weights, head.bias)], tmp_path / "new.onnx")
    np.testing.assert_allclose(run(tmp_path / "new.onnx", x)[0], expected, atol=1e-5)


def test_a_hidden_layer_that_was_put_before_a_head_is_found_again(tmp_path, rng):
    first = helper.make_node("MatMul", ["x", "v"], ["features"])
    last = helper.make_node("Gemm", ["features", "w", "b"], ["out"], transB=1)
    held = {"v": weights(rng, 5, 4), "w": weights(rng, 3, 4), "b": weights(rng, 3)}
    file = graph_file(tmp_path / "m.onnx", [first, last], held)
    head = find_head(file, "out")
    assert find_hidden(file, head) is None
    layers = [(weights(rng, 7, 4), weights(rng, 7)), (weights(rng, 3, 7), weights(rng, 3))]
    with_head(file, head, layers, tmp_path / "deep.onnx")
    found = find_head(tmp_path / "deep.onnx", "out")
    below = find_hidden(tmp_path / "deep.onnx", found)
    assert below.features == "features"
    np.testing.assert_array_equal(below.weights, layers[0][0])
    np.testing.assert_array_equal(found.weights, layers[1][0])
    x = weights(rng, 6, 5)
    hidden = np.maximum(x @ held["v"] @ layers[0][0].T + layers[0][1], 0)
    expected = hidden @ layers[1][0].T + layers[1][1]
    np.testing.assert_allclose(run(tmp_path / "deep.onnx", x)[0], expected, rtol=1e-4)

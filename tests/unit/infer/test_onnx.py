import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from streamer.errors import ConfigError, ModelError, RecordError
from streamer.infer import open_session
from streamer.infer.base import cleaned

IMAGE = {"kind": "image", "size": {"height": 2, "width": 2}}


def reshaping(version, shape):
    """Build a model whose batch is declared free but reshaped to something else."""
    target = numpy_helper.from_array(np.array(shape), "shape")
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"])]
    return version(
        {"x": ("float32", ["N", 3, 2, 2])},
        {"y": ("float32", None)},
        nodes,
        initializers=[target],
        inputs={"x": IMAGE},
        outputs={"y": {"decode": "logits"}},
    )


def pictures(count):
    return np.arange(count * 12, dtype=np.float32).reshape(count, 3, 2, 2)


def test_a_session_tells_its_tensors_and_runs(summing):
    session = open_session(summing(), device="cpu")
    assert (session.device, session.provider) == ("cpu", "CPUExecutionProvider")
    assert session.max_batch is None
    assert str(session.inputs["x"]) == "'x' float32 [N,3,2,2]"
    assert session.outputs["y"].shape == (None,)
    values = session.run({"x": pictures(5)})
    np.testing.assert_array_equal(values["y"], pictures(5).sum(axis=(1, 2, 3)))


@pytest.mark.parametrize(("fixed", "items"), [(1, 1), (1, 3), (4, 4), (4, 3), (4, 9)])
def test_a_fixed_batch_takes_any_number_of_items(summing, fixed, items):
    session = open_session(summing(batch=fixed), device="cpu")
    assert session.max_batch == fixed
    values = session.run({"x": pictures(items)})
    np.testing.assert_array_equal(values["y"], pictures(items).sum(axis=(1, 2, 3)))


@pytest.mark.parametrize("shape", [[1, 12], [1, -1]])
def test_a_batch_that_is_only_declared_free_is_found_out(version, shape):
    # [1, 12] fails with two items; [1, -1] runs, and mixes them
    session = open_session(reshaping(version, shape), device="cpu")
    assert session.max_batch == 1


def test_a_batch_that_is_really_free_stays_so(version):
    assert open_session(reshaping(version, [-1, 12]), device="cpu").max_batch is None


def test_feeds_are_cast_where_nothing_is_lost(summing):
    session = open_session(summing(), device="cpu")
    whole = pictures(2).astype(np.uint8)
    np.testing.assert_array_equal(session.run({"x": whole})["y"], whole.sum(axis=(1, 2, 3)))
    with pytest.raises(ModelError, match=r"'x' float32 \[N,3,2,2\] cannot take float64"):
        session.run({"x": pictures(1).astype(np.float64)})


def test_token_ids_fit_a_narrower_tensor_only_if_they_do(version):
    text = {"kind": "text", "tensors": {"ids": "ids"}, "tokenizer": "t"}
    nodes = [helper.make_node("Identity", ["ids"], ["y"])]
    session = open_session(
        version(
            {"ids": ("int32", [None, None])},
            {"y": ("int32", [None, None])},
            nodes,
            inputs={"text": text},
            outputs={"y": {"decode": "logits"}},
        ),
        device="cpu",
    )
    assert session.run({"ids": np.array([[1, 2]])})["y"].tolist() == [[1, 2]]
    with pytest.raises(ModelError, match="cannot take int64 without loss"):
        session.run({"ids": np.array([[2**40]])})


def test_a_fixed_length_is_filled_up_with_masked_zeros(version):
    text = {"kind": "text", "tensors": {"mask": "mask", "ids": "ids"}, "tokenizer": "t"}
    session = open_session(
        version(
            {"ids": ("int64", [1, 6]), "mask": ("int64", [1, 6])},
            {"y": ("int64", [1, 6])},
            [helper.make_node("Mul", ["ids", "mask"], ["y"])],
            inputs={"text": {**text, "max_length": 6}},
            outputs={"y": {"decode": "logits"}},
        ),
        device="cpu",
    )
    feeds = {"ids": np.array([[5, 6], [7, 8]]), "mask": np.array([[1, 1], [1, 0]])}
    assert session.run(feeds)["y"].tolist() == [[5, 6, 0, 0, 0, 0], [7, 0, 0, 0, 0, 0]]


@pytest.mark.parametrize("shape", [[None], [None, 1]])
def test_texts_fit_string_tensors_of_either_rank(version, shape):
    text = {"kind": "text", "tensors": {"text": "string"}}
    nodes = [helper.make_node("Identity", ["text"], ["y"])]
    session = open_session(
        version(
            {"text": ("string", shape)},
            {"y": ("string", shape)},
            nodes,
            inputs={"text": text},
            outputs={"y": {"decode": "label"}},
        ),
        device="cpu",
    )
    for given in (np.array(["a", "ü"]), np.array([["a"], ["ü"]], dtype=object)):
        assert session.run({"text": given})["y"].ravel().tolist() == ["a", "ü"]


@pytest.mark.parametrize("batch", [None, 1])
def test_constants_are_fed_by_the_session_and_are_no_batch(version, batch):
    nodes = [helper.make_node("Mul", ["x", "scale"], ["y"])]
    session = open_session(
        version(
            {"x": ("float32", [batch, 3, 2, 2]), "scale": ("float32", [1])},
            {"y": ("float32", [batch, 3, 2, 2])},
            nodes,
            inputs={"x": IMAGE, "scale": {"kind": "constant", "value": [3]}},
            outputs={"y": {"decode": "logits"}},
        ),
        device="cpu",
    )
    for also in ({}, {"scale": np.array([3], np.float32)}):
        values = session.run({"x": pictures(2), **also})
        np.testing.assert_array_equal(values["y"], pictures(2) * 3)


def test_outputs_that_nobody_reads_are_not_computed(version):
    built = version(
        {"x": ("float32", [None, 3, 2, 2])},
        {"y": ("float32", [None, 3, 2, 2]), "z": ("float32", [None, 3, 2, 2])},
        [helper.make_node("Identity", ["x"], ["y"]), helper.make_node("Neg", ["x"], ["z"])],
        inputs={"x": IMAGE},
        outputs={"y": {"decode": "ignore"}, "z": {"decode": "logits"}},
    )
    assert list(open_session(built, device="cpu").run({"x": pictures(1)})) == ["z"]


def test_a_batch_that_fails_is_said_in_one_line(version):
    gather = [helper.make_node("Gather", ["table", "ids"], ["y"])]
    table = [numpy_helper.from_array(np.zeros((4, 1), np.float32), "table")]
    session = open_session(
        version(
            {"ids": ("int64", [None, None])},
            {"y": ("float32", [None, None, 1])},
            gather,
            initializers=table,
            inputs={"text": {"kind": "text", "tokenizer": "t", "tensors": {"ids": "ids"}}},
            outputs={"y": {"decode": "embedding", "pooling": "mean"}},
        ),
        device="cpu",
    )
    with pytest.raises(RecordError, match="idx=99 must be within") as caught:
        session.run({"ids": np.array([[99]])})
    assert caught.value.reason == "inference-failed"
    assert "\n" not in str(caught.value)
    assert "ONNXRuntimeError" not in str(caught.value)


def test_unknown_feeds_are_named(summing):
    session = open_session(summing(), device="cpu")
    with pytest.raises(ModelError, match="there is no tensor 'z'; the graph's inputs are 'x'"):
        session.run({"z": pictures(1)})


def test_a_closed_session_does_not_run(summing):
    session = open_session(summing(), device="cpu")
    session.close()
    with pytest.raises(ModelError, match="is closed"):
        session.run({"x": pictures(1)})


def test_a_file_that_is_no_model_is_refused(summing):
    built = summing()
    built.file.write_bytes(b"garbage" * 100)
    with pytest.raises(ModelError, match=r"model\.onnx: cannot be loaded: Protobuf parsing failed"):
        open_session(built, device="cpu")


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        ("model.onnx", "onnxruntime", "cpu"),
        ("model.pt", "torch", "torch"),
        ("model.pt2", "torch", "torch"),
        ("model.safetensors", "torch", "torch"),
        ("saved_model.pb", "tensorflow", "tensorflow"),
        ("model.pb", "tensorflow", "tensorflow"),
        ("model.tflite", "ai_edge_litert", "litert"),
    ],
)
def test_a_missing_framework_is_said_with_the_extra_that_has_it(
    summing, monkeypatch, name, module, extra
):
    built = summing()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"pip install 'streamer\[{extra}\]'"):
        open_session(replace(built, file=built.folder / name))


def test_a_file_in_half_precision_takes_and_gives_it(summing):
    session = open_session(summing(dtype="float16"), device="cpu")
    assert session.inputs["x"].dtype == "float16"
    given = (pictures(2) / 16).astype(np.float16)
    values = session.run({"x": given})["y"]
    assert values.dtype == np.float16
    np.testing.assert_allclose(values, given.astype(np.float32).sum((1, 2, 3)), rtol=2e-3)
    with pytest.raises(ModelError, match=r"cannot take float32 without loss; write dtype: float16"):
        session.run({"x": pictures(2)})


@pytest.mark.parametrize("isolation", ["none", "process"])
def test_a_sequence_of_maps_is_a_row_an_item(summing, isolation):
    built = summing()
    model = onnx.load(built.file)
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    model.graph.node[0].output[0] = "sums"
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1, 1]), "rows"))
    model.graph.node.extend(
        [
            helper.make_node("Reshape", ["sums", "rows"], ["column"]),
            helper.make_node("Concat", ["column", "column"], ["both"], axis=1),
            helper.make_node(
                "ZipMap", ["both"], ["y"], domain="ai.onnx.ml", classlabels_strings=["ham", "spam"]
            ),
        ]
    )
    told = helper.make_map_type_proto(8, helper.make_tensor_type_proto(1, []))
    del model.graph.output[:]
    model.graph.output.append(helper.make_value_info("y", helper.make_sequence_type_proto(told)))
    onnx.save(model, built.file)
    session = open_session(built, device="cpu", isolation=isolation)
    try:
        assert str(session.outputs["y"]) == "'y' sequence"
        rows = session.run({"x": pictures(3)})["y"]
        sums = pictures(3).sum((1, 2, 3))
        assert [list(row) for row in rows] == [["ham", "spam"]] * 3
        np.testing.assert_allclose([row["spam"] for row in rows], sums)
    finally:
        session.close()


@pytest.mark.skipif(find_spec("tensorflow") is not None, reason="platform: TensorFlow is here")
def test_a_missing_framework_is_said_by_a_process_of_its_own_too(summing):
    built = summing()
    with pytest.raises(ConfigError, match=r"pip install 'streamer\[tensorflow\]'"):
        open_session(replace(built, file=built.folder / "model.pb"), isolation="process")


@pytest.mark.parametrize("name", ["model.h5", "model.keras", "model.gguf"])
def test_a_file_that_nothing_runs_is_said_with_what_to_write_instead(summing, name):
    built = summing()
    with pytest.raises(ConfigError, match=r"SavedModel|export the model to ONNX"):
        open_session(replace(built, file=built.folder / name))


def test_onnx_runtime_s_text_becomes_one_line():
    text = (
        "[ONNXRuntimeError] : 1 : FAIL : Load model from /a/b.onnx failed:"
        "/onnxruntime/core/graph/model.cc:149 onnxruntime::Model\n unsupported   opset"
    )
    assert cleaned(Exception(text)) == "onnxruntime::Model unsupported opset"
    assert len(cleaned(Exception("x" * 9999))) < 500

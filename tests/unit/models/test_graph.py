import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from streamer.errors import ModelError
from streamer.models.graph import Tensor, read_graph


def test_inputs_outputs_and_metadata_are_read(tmp_path, write_onnx):
    file = write_onnx(
        tmp_path / "a.onnx",
        {"images": ("float32", ["batch", 3, 416, 416]), "ids": ("int64", [1, "length"])},
        {"out": ("string", [None, 1])},
        metadata={"names": "{0: 'café'}", "stride": "32"},
    )
    graph = read_graph(file)
    assert graph.inputs == (
        Tensor("images", "float32", (None, 3, 416, 416)),
        Tensor("ids", "int64", (1, None)),
    )
    assert graph.outputs == (Tensor("out", "string", (None, 1)),)
    assert graph.metadata == {"names": "{0: 'café'}", "stride": "32"}
    assert str(graph.inputs[0]) == "'images' float32 [N,3,416,416]"


def test_weights_listed_among_the_inputs_are_none(tmp_path, write_onnx):
    weight = numpy_helper.from_array(np.ones((2, 2), np.float32), "weight")
    file = write_onnx(
        tmp_path / "a.onnx",
        {"x": ("float32", [1, 2]), "weight": ("float32", [2, 2])},
        {"y": ("float32", [1, 2])},
        [helper.make_node("MatMul", ["x", "weight"], ["y"])],
        initializers=[weight],
    )
    assert [tensor.name for tensor in read_graph(file).inputs] == ["x"]


def test_labels_of_a_classifier_node_are_read(tmp_path, write_onnx):
    node = helper.make_node(
        "LinearClassifier",
        ["x"],
        ["label", "p"],
        domain="ai.onnx.ml",
        classlabels_strings=["ham", "spam"],
        coefficients=[1.0, 2.0],
    )
    file = write_onnx(
        tmp_path / "a.onnx",
        {"x": ("float32", [None, 1])},
        {"label": ("string", [None]), "p": ("float32", [None, 2])},
        [node],
    )
    assert read_graph(file).class_labels == ("ham", "spam")


def test_files_with_weights_are_found_in_subgraphs_too(tmp_path, write_onnx):
    def outside(name: str, location: str) -> onnx.TensorProto:
        tensor = onnx.TensorProto(name=name, data_type=1, dims=[1], data_location=1)
        tensor.external_data.add(key="location", value=location)
        return tensor

    inner = helper.make_graph([], "inner", [], [], [outside("w", "../w2.bin")])
    branch = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    constant = helper.make_node("Constant", [], ["c"], value=outside("c", "w3.bin"))
    file = write_onnx(
        tmp_path / "a.onnx",
        {"x": ("float32", [1])},
        {"y": ("float32", [1])},
        [constant, branch],
        initializers=[outside("v", "w1.bin")],
    )
    assert sorted(read_graph(file).external) == ["../w2.bin", "w1.bin", "w3.bin"]


@pytest.mark.parametrize("content", [b"", b"\x00", b"not a model", b"\x3a\xff\xff\xff\xff\x0f"])
def test_what_is_no_onnx_is_refused(tmp_path, content):
    file = tmp_path / "a.onnx"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"is no ONNX file|is empty"):
        read_graph(file)


@given(cut=st.integers(0, 400), noise=st.binary(max_size=8))
def test_a_damaged_file_is_read_or_refused(tmp_path_factory, cut, noise):
    weight = numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", 1, [1, 4])],
        [helper.make_tensor_value_info("y", 1, [1, 4])],
        [weight],
    )
    content = helper.make_model(graph).SerializeToString()
    file = tmp_path_factory.mktemp("damaged") / "a.onnx"
    file.write_bytes(content[:cut] + noise + content[cut + len(noise) :][: 10**6])
    try:
        assert read_graph(file).outputs
    except ModelError as error:
        assert "is no ONNX file" in str(error)  # noqa: PT017 - either is right

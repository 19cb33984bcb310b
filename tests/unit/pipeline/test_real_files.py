"""What files in the wild are like: each shape is loaded, checked, probed and answered."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from streamer.config.topology import ModelRef
from streamer.models import load_version
from streamer.pipeline.loaded import ModelVersion
from streamer.postprocess import interpreter_for
from streamer.records import Image

FLOAT, WHOLE, BYTE = TensorProto.FLOAT, TensorProto.INT64, TensorProto.UINT8
Sides = dict[str, tuple[int, list[Any]]]


def constants(**values: Any) -> list[onnx.TensorProto]:
    return [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]


@pytest.fixture
def answers(tmp_path):
    """Writes a version and asks it: how many it takes at once, and its answers."""

    def ask(  # noqa: PLR0917 - a graph's parts
        task: str,
        inputs: Sides,
        outputs: Sides,
        nodes: list[onnx.NodeProto],
        initializers: list[onnx.TensorProto],
        manifest: dict[str, Any],
        pictures: list[np.ndarray],
    ) -> tuple[int | None, list[Any]]:
        graph = helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info(name, *given) for name, given in inputs.items()],
            [helper.make_tensor_value_info(name, *given) for name, given in outputs.items()],
            initializers,
        )
        model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])
        onnx.save(model, tmp_path / "model.onnx")
        told = {"name": "m", "task": task, **manifest}
        (tmp_path / "model.yaml").write_text(yaml.safe_dump(told))
        loaded = opened(tmp_path)
        session = loaded.sessions[0]
        interpreter = interpreter_for(loaded.version.manifest, task)
        found: list[Any] = []
        for [part] in loaded.preprocessor.prepare([Image(pixels) for pixels in pictures]):
            outputs_of = session.run(loaded.preprocessor.collate([part]))
            found += interpreter.interpret(outputs_of, [part])
        most = session.max_batch
        loaded.close()
        return most, found

    return ask


def opened(folder: Path) -> ModelVersion:
    version = load_version(str(folder), beside=folder.parent, models_dir=folder.parent)
    return ModelVersion(version, ModelRef(uri=str(folder), device="cpu", sessions=1, threads=1))


def test_a_detector_without_a_batch_runs_one_by_one_and_may_find_nothing(answers):
    """As torchvision's Faster R-CNN: [M, 4], [M], [M], whatever the input declares."""
    nodes = [
        helper.make_node("Reshape", ["x", "flat"], ["values"]),
        helper.make_node("Slice", ["values", "at0", "at8"], ["eight"]),
        helper.make_node("Reshape", ["eight", "fours"], ["all_boxes"]),
        helper.make_node("Slice", ["values", "at8", "at10"], ["bright"]),
        helper.make_node("Div", ["bright", "most"], ["all_scores"]),
        helper.make_node("Greater", ["all_scores", "least"], ["good"]),
        helper.make_node("NonZero", ["good"], ["places"]),
        helper.make_node("Reshape", ["places", "flat"], ["chosen"]),
        helper.make_node("Gather", ["all_boxes", "chosen"], ["boxes"]),
        helper.make_node("Gather", ["all_scores", "chosen"], ["scores"]),
        helper.make_node("Gather", ["kinds", "chosen"], ["labels"]),
    ]
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[0, :, 2] = [1, 2, 5, 6, 0, 1, 7, 8]  # red comes first: rows of boxes
    pixels[1, :2, 2] = [204, 20]  # and their scores
    most, found = answers(
        "object-detection",
        {"x": (FLOAT, ["N", 3, 8, 8])},
        {
            "boxes": (FLOAT, ["M", 4]),
            "labels": (WHOLE, ["M"]),
            "scores": (FLOAT, ["M"]),
        },
        nodes,
        constants(
            flat=[-1],
            fours=[2, 4],
            at0=[0],
            at8=[8],
            at10=[10],
            most=np.float32(255),
            least=np.float32(0.05),
            kinds=[1, 2],
        ),
        {
            "id2label": ["background", "cat", "dog"],
            "inputs": {"x": {"kind": "image", "size": {"height": 8, "width": 8}}},
            "outputs": {
                "boxes": {"decode": "boxes"},
                "labels": {"decode": "labels"},
                "scores": {"decode": "scores"},
            },
        },
        [pixels, np.zeros((8, 8, 3), np.uint8)],
    )
    assert most == 1
    box = {"xmin": 1, "ymin": 2, "xmax": 5, "ymax": 6}
    assert found == [[{"label": "cat", "score": pytest.approx(0.8), "box": box}], []]


def test_bytes_in_and_bytes_out_with_channels_last(answers):
    nodes = [
        helper.make_node("Cast", ["x"], ["floats"], to=FLOAT),
        helper.make_node("ReduceMax", ["floats"], ["largest"], axes=[1, 2], keepdims=0),
        helper.make_node("Cast", ["largest"], ["y"], to=BYTE),
    ]
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[...] = [64, 0, 192]  # blue, green, red
    most, [found] = answers(
        "image-classification",
        {"x": (BYTE, [1, 4, 4, 3])},
        {"y": (BYTE, [1, 3])},
        nodes,
        [],
        {
            "id2label": ["red", "green", "blue"],
            "inputs": {
                "x": {
                    "kind": "image",
                    "layout": "NHWC",
                    "dtype": "uint8",
                    "size": {"height": 4, "width": 4},
                }
            },
            "outputs": {"y": {"decode": "probabilities", "scale": 1 / 256, "zero_point": 0}},
        },
        [pixels],
    )
    assert most == 1
    assert [(entry["label"], entry["score"]) for entry in found] == [
        ("red", 0.75),
        ("blue", 0.25),
        ("green", 0.0),
    ]


def test_a_model_that_asks_for_the_picture_s_size_answers_in_its_pixels(answers):
    """As RT-DETR's authors export it: a box that is the whole picture."""
    nodes = [
        helper.make_node("Cast", ["size"], ["sides"], to=FLOAT),
        helper.make_node("Mul", ["sides", "nothing"], ["corner"]),
        helper.make_node("Concat", ["corner", "sides"], ["row"], axis=1),
        helper.make_node("Unsqueeze", ["row", "one"], ["boxes"]),
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["mean", "column"], ["scores"]),
        helper.make_node("Mul", ["scores", "nothing"], ["none"]),
        helper.make_node("Cast", ["none"], ["labels"], to=WHOLE),
    ]
    most, found = answers(
        "object-detection",
        {"x": (FLOAT, ["N", 3, 8, 8]), "size": (WHOLE, ["N", 2])},
        {
            "boxes": (FLOAT, ["N", 1, 4]),
            "scores": (FLOAT, ["N", 1]),
            "labels": (WHOLE, ["N", 1]),
        },
        nodes,
        constants(nothing=np.float32(0), one=[1], column=[-1, 1]),
        {
            "id2label": ["all"],
            "inputs": {
                "x": {
                    "kind": "image",
                    "size": {"height": 8, "width": 8},
                    "rescale_factor": 1 / 255,
                },
                "size": {"kind": "image-size", "values": ["width", "height"]},
            },
            "outputs": {
                "boxes": {"decode": "boxes", "frame": "original"},
                "scores": {"decode": "scores"},
                "labels": {"decode": "labels"},
            },
        },
        [np.full((20, 50, 3), 255, np.uint8), np.full((7, 3, 3), 255, np.uint8)],
    )
    assert most is None
    assert [row[0]["box"] for row in found] == [
        {"xmin": 0, "ymin": 0, "xmax": 50, "ymax": 20},
        {"xmin": 0, "ymin": 0, "xmax": 3, "ymax": 7},
    ]


def test_free_sides_take_each_picture_as_it_is(answers):
    nodes = [helper.make_node("ReduceMean", ["x"], ["y"], axes=[2, 3], keepdims=0)]
    pictures = [np.full(size, 51, np.uint8) for size in ((5, 9, 3), (12, 4, 3))]
    most, found = answers(
        "image-classification",
        {"x": (FLOAT, ["N", 3, "H", "W"])},
        {"y": (FLOAT, ["N", 3])},
        nodes,
        [],
        {
            "id2label": ["a", "b", "c"],
            "inputs": {"x": {"kind": "image", "rescale_factor": 1 / 255, "size_divisor": 4}},
            "outputs": {"y": {"decode": "probabilities"}},
        },
        pictures,
    )
    assert most is None
    # 5 x 9 of 8 x 12 padded with zeros, and 12 x 4 as it is
    assert [round(row[0]["score"], 5) for row in found] == [round(0.2 * 45 / 96, 5), 0.2]

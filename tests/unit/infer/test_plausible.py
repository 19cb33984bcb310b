"""Scores that cannot be what the manifest says are refused when the model is loaded."""

import numpy as np
import pytest
from onnx import helper, numpy_helper

from streamer.errors import ModelError
from streamer.infer import check_fit, open_session

IMAGE = {"kind": "image", "size": {"height": 4, "width": 4}}


def giving(version, values, output, **manifest):
    """Build a model that says the same of every picture."""
    value = np.array(values, np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["none"]),
        helper.make_node("Reshape", ["none", "shape"], ["column"]),
        helper.make_node("Add", ["column", "values"], ["y"]),
    ]
    built = version(
        {"x": ("float32", ["N", 3, 4, 4])},
        {"y": ("float32", ["N", *value.shape])},
        nodes,
        initializers=[
            numpy_helper.from_array(np.float32(0), "zero"),
            numpy_helper.from_array(np.array([-1] + [1] * value.ndim, np.int64), "shape"),
            numpy_helper.from_array(value[None], "values"),
        ],
        inputs={"x": IMAGE},
        outputs={"y": output},
        **manifest,
    )
    check_fit(built, open_session(built, device="cpu"))


def test_a_softmax_that_is_inside_already_is_noticed(version):
    with pytest.raises(ModelError, match=r"softmax is inside already .*write decode: prob"):
        giving(version, [0.2, 0.3, 0.5], {"decode": "logits"})
    giving(version, [0.2, 0.3, 0.5], {"decode": "probabilities"})
    giving(version, [0.2, 0.3, 0.6], {"decode": "logits"})
    several = {"problem_type": "multi_label_classification"}
    giving(version, [0.2, 0.3, 0.5], {"decode": "logits"}, **several)


def test_a_softmax_that_is_not_there_is_missed(version):
    with pytest.raises(ModelError, match=r"the model gave -1 to 3: write decode: logits"):
        giving(version, [-1, 3, 0], {"decode": "probabilities"})
    chosen = {"postprocess": {"function_to_apply": "softmax"}}
    giving(version, [-1, 3, 0], {"decode": "probabilities"}, **chosen)


@pytest.mark.parametrize(
    ("values", "output", "advice"),
    [
        ([[1, 1, 5, 5, 2.5, -1]], {"decode": "yolov5"}, "export the model with its sigmoid"),
        ([[1], [1], [5], [5], [-3]], {"decode": "yolov8"}, "export the model with its sigmoid"),
    ],
)
def test_a_detector_s_scores_are_looked_at_too(version, values, output, advice):
    task = {"task": "object-detection"}
    with pytest.raises(ModelError, match=f"between 0 and 1, but the model gave .*{advice}"):
        giving(version, values, output, **task)
    values = np.clip(values, None, 5)
    values[..., 4:] = 0.5
    if output["decode"] == "yolov8":
        values = np.clip(np.array(values), 0, 1)
    giving(version, values, output, **task)


@pytest.mark.parametrize("decode", ["yolov5", "yolov8"])
def test_boxes_that_are_fractions_are_told_from_pixels(version, decode):
    task = {"task": "object-detection"}
    fractions = np.full((50, 6), 0.5)
    fractions[:, :2] = np.linspace(0.01, 0.99, 50)[:, None]
    pixels = np.where(np.arange(6) < 4, fractions * 320, fractions)
    if decode == "yolov8":
        fractions, pixels = fractions.T, pixels.T
    giving(version, pixels, {"decode": decode}, **task)
    giving(version, fractions, {"decode": decode, "normalized": True}, **task)
    with pytest.raises(ModelError, match=r"fractions of the picture; write normalized: true"):
        giving(version, fractions, {"decode": decode}, **task)
    with pytest.raises(ModelError, match=r"they are pixels; leave out normalized"):
        giving(version, pixels, {"decode": decode, "normalized": True}, **task)


def test_heat_goes_through_a_sigmoid_unless_it_is_said_not_to(version):
    output = {"decode": "heatmap"}
    giving(version, [[[-9.0, 2.0]]], output, task="object-detection")
    with pytest.raises(ModelError, match="write activation: sigmoid or softmax"):
        giving(version, [[[-9.0, 2.0]]], {**output, "activation": "none"}, task="object-detection")

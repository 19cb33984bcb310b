import numpy as np
import pytest

from streamer.errors import ConfigError, ModelError, RecordError
from streamer.models import Manifest
from streamer.postprocess import interpreter_for
from streamer.postprocess.boxes import original
from streamer.records import Geometry, ModelInput

LABELS = {0: "cat", 1: "dog", 2: "cow"}
# 64x64 in, of a picture of 32x16 doubled and padded: 16 left, 0 above
GEOMETRY = Geometry((32, 16), (64, 64), 2.0, 2.0, 16.0, 0.0)
PLAIN = Geometry((64, 64), (64, 64), 1.0, 1.0, 0.0, 0.0)


def detector(outputs, *, threshold=0.5, top_k=None, labels=LABELS, postprocess=None):
    built = Manifest.model_validate(
        {
            "name": "m",
            "task": "object-detection",
            "id2label": labels,
            "inputs": {"x": {"kind": "image", "size": {"height": 64, "width": 64}}},
            "outputs": outputs,
            "postprocess": postprocess or {},
        }
    )
    return interpreter_for(built, "object-detection", threshold=threshold, top_k=top_k)


def found(outputs, values, *, geometry=PLAIN, **more):
    """Interpret a batch and give label, score and box of each object."""
    items = len(next(iter(values.values())))
    rows = detector(outputs, **more).interpret(
        values, [ModelInput({}, 1, context=geometry)] * items
    )
    return [
        row
        if isinstance(row, RecordError)
        else [(o["label"], round(o["score"], 3), tuple(o["box"].values())) for o in row]
        for row in rows
    ]


def test_answers_have_hugging_face_s_shape_and_unrounded_boxes_beside():
    row = [20.4, 10.0, 30.6, 20.2, 0.75, 1]
    rows = detector({"y": {"decode": "detections"}}).interpret(
        {"y": np.array([[row]], np.float32)}, [ModelInput({}, 1, context=GEOMETRY)]
    )
    assert rows[0] == [
        {"label": "dog", "score": 0.75, "box": {"xmin": 2, "ymin": 5, "xmax": 7, "ymax": 10}}
    ]
    np.testing.assert_allclose(rows[0].boxes, [[2.2, 5.0, 7.3, 10.1]], rtol=1e-5)
    assert type(rows[0][0]["box"]["xmin"]) is int


def test_yolox_grids_are_undone():
    # strides 16 and 32 on 64x64: 16 + 4 anchors; anchor 6 is column 2, row 1 of the first level
    values = np.zeros((2, 20, 8), np.float32)
    values[0, 6] = [0.5, 0.25, np.log(2), np.log(1), 0.9, 0.1, 0.8, 0.3]
    values[1, 19] = [0.5, 0.5, 0, 0, 1.0, 0.6, 0.2, 0.1]
    rows = found({"y": {"decode": "yolox", "strides": [16, 32]}}, {"y": values})
    # centre (2.5, 1.25) * 16 = (40, 20), sides 32 x 16; then (1.5, 1.5) * 32 = 48, sides 32
    assert rows == [[("dog", 0.72, (24, 12, 56, 28))], [("cat", 0.6, (32, 32, 64, 64))]]


def test_strides_that_do_not_make_the_output_s_anchors_are_refused():
    values = np.ones((1, 19, 8), np.float32)
    with pytest.raises(ModelError, match=r"strides \[16, 32\] make 20 anchors .* output has 19"):
        found({"y": {"decode": "yolox", "strides": [16, 32]}}, {"y": values})


def test_yolov5_multiplies_objectness_and_label():
    values = np.zeros((2, 5, 8), np.float32)
    values[0, 1] = [32, 32, 10, 20, 0.9, 0.1, 0.2, 0.7]
    values[0, 3] = [10, 10, 4, 4, 0.6, 0.8, 0.1, 0.1]  # 0.48: below the threshold
    rows = found({"y": {"decode": "yolov5"}}, {"y": values})
    assert rows == [[("cow", 0.63, (27, 22, 37, 42))], []]


def test_yolov8_has_its_anchors_last_and_no_objectness():
    values = np.zeros((2, 7, 30), np.float32)
    values[1, :, 4] = [32, 32, 10, 20, 0.1, 0.6, 0.2]
    values[1, :, 29] = [33, 32, 10, 20, 0.1, 0.8, 0.2]
    values[1, :, 7] = [32, 32, 10, 20, 0.7, 0.1, 0.2]
    rows = found({"y": {"decode": "yolov8"}}, {"y": values})
    assert rows == [[], [("dog", 0.8, (28, 22, 38, 42)), ("cat", 0.7, (27, 22, 37, 42))]]
    rows = found(
        {"y": {"decode": "yolov8"}}, {"y": values}, postprocess={"nms": {"per_class": False}}
    )
    assert [label for label, _, _ in rows[1]] == ["dog"]


@pytest.mark.parametrize("decode", ["yolov5", "yolov8"])
def test_a_grid_s_boxes_may_be_fractions(decode):
    row = [0.5, 0.25, 0.25, 0.125, *([0.9] if decode == "yolov5" else []), 0.1, 0.8, 0.2]
    values = np.array([[row]], np.float32)
    values = values if decode == "yolov5" else values.transpose(0, 2, 1)
    rows = found({"y": {"decode": decode, "normalized": True}}, {"y": values})
    assert [(label, box) for label, _, box in rows[0]] == [("dog", (24, 12, 40, 20))]


def test_detections_are_taken_as_they_are_without_their_filling():
    values = np.array(
        [[[0, 0, 9, 9, 0.6, 2], [0, 0, 9, 9, 0.9, 2], [0] * 6], [[0] * 6, [-1] * 6, [1] * 6]],
        np.float32,
    )
    rows = found({"y": {"decode": "detections"}}, {"y": values}, threshold=0.0)
    assert rows[0] == [("cow", 0.9, (0, 0, 9, 9)), ("cow", 0.6, (0, 0, 9, 9))]
    assert rows[1] == []  # the last one has a score, but no width


@pytest.mark.parametrize(
    ("order", "box"),
    [
        ("xyxy", [8, 16, 24, 32]),
        ("yxyx", [16, 8, 32, 24]),
        ("cxcywh", [16, 24, 16, 16]),
        ("xywh", [8, 16, 16, 16]),
    ],
)
@pytest.mark.parametrize("normalized", [True, False])
def test_boxes_of_any_order_and_unit_are_read(order, box, normalized):
    side = 64 if normalized else 1
    values = {
        "b": np.array([[box]], np.float32) / side,
        "s": np.array([[0.9]], np.float32),
        "l": np.array([[1]], np.int64),
        "n": np.array([1], np.float32),
    }
    outputs = {
        "b": {"decode": "boxes", "box": order, "normalized": normalized},
        "s": {"decode": "scores"},
        "l": {"decode": "labels"},
        "n": {"decode": "count"},
    }
    assert found(outputs, values) == [[("dog", 0.9, (8, 16, 24, 32))]]


def test_a_count_cuts_off_the_filling():
    values = {
        "b": np.tile(np.array([0, 0, 9, 9], np.float32), (2, 3, 1)),
        "s": np.full((2, 3), 0.9, np.float32),
        "l": np.zeros((2, 3), np.int64),
        "n": np.array([[1], [2]], np.int32),
    }
    outputs = {
        "b": {"decode": "boxes"},
        "s": {"decode": "scores"},
        "l": {"decode": "labels"},
        "n": {"decode": "count"},
    }
    assert [len(row) for row in found(outputs, values)] == [1, 2]


@pytest.mark.parametrize("labels", [{0: "background", 1: "face"}, {0: "face"}])
def test_the_background_is_no_object(labels):
    values = {
        "s": np.array([[[0.05, 0.95], [0.9, 0.1], [0.2, 0.8]]], np.float32),
        "b": np.array([[[0.25, 0.25, 0.5, 0.5], [0, 0, 1, 1], [0.25, 0.25, 0.5, 0.55]]]),
    }
    outputs = {
        "s": {"decode": "scores", "background": True},
        "b": {"decode": "boxes", "normalized": True},
    }
    both = [("face", 0.95, (16, 16, 32, 32)), ("face", 0.8, (16, 16, 32, 35))]
    assert found(outputs, values, labels=labels) == [both]
    assert found(outputs, values, labels=labels, postprocess={"nms": {"iou": 0.45}}) == [both[:1]]


def test_a_model_that_leaves_out_the_batch_is_read():
    values = {
        "b": np.array([[0, 0, 9, 9], [1, 1, 8, 8]], np.float32),
        "s": np.array([0.6, 0.9], np.float32),
        "l": np.array([1, 2]),
    }
    outputs = {"b": {"decode": "boxes"}, "s": {"decode": "scores"}, "l": {"decode": "labels"}}
    rows = detector(outputs).interpret(values, [ModelInput({}, 1, context=PLAIN)])
    assert [entry["label"] for entry in rows[0]] == ["cow", "dog"]


def test_only_the_picture_whose_outputs_are_no_numbers_is_refused():
    good = [32, 32, 10, 20, 0.1, 0.8, 0.2]
    values = np.zeros((3, 7, 4), np.float32)
    values[:, :, 1] = good
    values[1, 2, 3] = np.nan
    rows = found({"y": {"decode": "yolov8"}}, {"y": values})
    assert isinstance(rows[1], RecordError)
    assert rows[1].reason == "non-finite"
    assert rows[0] == rows[2] == [("dog", 0.8, (27, 22, 37, 42))]


def test_boxes_are_clipped_to_the_picture_and_dropped_beside_it():
    values = np.array(
        [[[-5, -5, 40, 70, 0.9, 0], [0, 0, 15, 60, 0.8, 0], [60, 60, 64, 64, 0.7, 1]]], np.float32
    )
    rows = found({"y": {"decode": "detections"}}, {"y": values}, geometry=GEOMETRY)
    # the second lies in the padding left of the picture, the third right of it
    assert rows == [[("cat", 0.9, (0, 0, 12, 32))]]


def test_scales_may_differ_across_and_down():
    stretched = Geometry((480, 1280), (240, 320), 0.25, 0.5, 0.0, 0.0)
    boxes = original(np.array([[10, 10, 20, 20]], np.float32), stretched)
    assert boxes.tolist() == [[40, 20, 80, 40]]


def test_no_more_objects_are_given_than_asked_for():
    values = np.zeros((1, 10, 6), np.float32)
    values[0] = [[i, i, i + 1, i + 1, 0.5 + i / 100, 0] for i in range(10)]
    outputs = {"y": {"decode": "detections"}}
    assert len(found(outputs, {"y": values}, top_k=3)[0]) == 3
    assert len(found(outputs, {"y": values}, postprocess={"nms": {"max_detections": 4}})[0]) == 4
    assert found(outputs, {"y": values}, top_k=1)[0][0][1] == 0.59


def test_the_threshold_is_asked_s_then_the_model_s_then_one_half():
    values = np.array([[[0, 0, 9, 9, s, 0] for s in (0.2, 0.4, 0.5, 0.9)]], np.float32)
    outputs = {"y": {"decode": "detections"}}

    def count(asked, own):
        postprocess = {} if own is None else {"postprocess": {"threshold": own}}
        return len(found(outputs, {"y": values}, threshold=asked, **postprocess)[0])

    assert (count(None, None), count(None, 0.4), count(0.1, 0.4)) == (2, 3, 4)


@pytest.mark.parametrize(
    "outputs",
    [
        {"y": {"decode": "logits"}},
        {"y": {"decode": "boxes"}},
        {"y": {"decode": "yolox"}, "z": {"decode": "scores"}},
    ],
)
def test_outputs_that_make_no_detector_are_refused(outputs):
    with pytest.raises(ConfigError, match="object-detection needs one output with decode: yolox"):
        detector(outputs)
    with pytest.raises(ConfigError, match="are both decode: boxes; set one to decode: ignore"):
        detector({"y": {"decode": "boxes"}, "z": {"decode": "boxes"}})


def test_pictures_must_know_their_geometry():
    with pytest.raises(ModelError, match="geometry"):
        detector({"y": {"decode": "detections"}}).interpret(
            {"y": np.zeros((1, 1, 6), np.float32)}, [ModelInput({}, 1)]
        )

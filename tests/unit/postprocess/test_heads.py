"""Boxes and scores in several tensors: DETR, SSD, FCOS-like and YOLOX-like heads, landmarks."""

import math

import numpy as np
import pytest

from streamer.errors import ConfigError, ModelError, RecordError
from streamer.postprocess.coding import priors
from streamer.records import Geometry

FACE = ("face",)


def softmax(values):
    powers = np.exp(values - np.max(values))
    return powers / powers.sum()


def test_detr_has_no_object_last_and_boxes_as_fractions(told):
    logits = np.full((1, 3, 4), -4.0)
    logits[0, 0] = [0.5, 3.0, 0.0, 1.0]
    logits[0, 1] = [0.0, 0.0, 0.0, 6.0]  # no object
    logits[0, 2] = [2.0, 0.0, 0.0, 1.9]  # best label below the threshold
    boxes = np.array([[[0.5, 0.25, 0.5, 0.25], [0.5, 0.5, 1, 1], [0.5, 0.5, 1, 1]]])
    outputs = {"logits": {"decode": "detr"}, "pred_boxes": {"decode": "boxes"}}
    geometry = Geometry((400, 200), (128, 64), 0.32, 0.32, 0.0, 0.0)
    rows = told(outputs, {"logits": logits, "pred_boxes": boxes}, geometry=geometry)
    score = round(float(softmax(logits[0, 0])[1]), 3)
    # 0.5 of 200 wide, 0.25 of 400 high: the middle, and half of the sides to each side
    assert rows == [[("dog", score, (50, 50, 150, 150))]]


def test_sigmoid_detrs_answer_each_label_that_a_box_reaches(told):
    logits = np.full((1, 2, 3), -5.0)
    logits[0, 0] = [2.0, 1.0, -1.0]
    logits[0, 1] = [-5.0, -5.0, 0.5]
    boxes = np.array([[[0.5, 0.5, 0.5, 0.5], [0.25, 0.25, 0.5, 0.5]]])
    outputs = {"logits": {"decode": "detr-sigmoid"}, "pred_boxes": {"decode": "boxes"}}
    values = {"logits": logits, "pred_boxes": boxes}
    rows = told(outputs, values)
    whole, corner = (16, 16, 48, 48), (0, 0, 32, 32)
    assert rows == [[("cat", 0.881, whole), ("dog", 0.731, whole), ("cow", 0.622, corner)]]
    assert told(outputs, values, postprocess={"top_k": 2}) == [rows[0][:2]]


def test_pictures_of_a_batch_have_their_own_scale(objects):
    from streamer.models import Manifest
    from streamer.postprocess import interpreter_for
    from streamer.records import ModelInput

    manifest = Manifest.model_validate(
        {
            "name": "m",
            "task": "object-detection",
            "inputs": {"x": {"kind": "image", "size": {"shortest_edge": 8}, "mask": "m"}},
            "outputs": {"l": {"decode": "detr"}, "b": {"decode": "boxes"}},
        }
    )
    logits = np.tile(np.array([9.0, 0.0]), (2, 1, 1))
    boxes = np.tile(np.array([0.5, 0.5, 1.0, 1.0]), (2, 1, 1))
    inputs = [
        ModelInput({}, 1, context=Geometry(size, size, 1.0, 1.0, 0.0, 0.0))
        for size in ((10, 20), (40, 30))
    ]
    built = interpreter_for(manifest, "object-detection")
    rows = built.interpret({"l": logits, "b": boxes}, inputs)
    assert [row[0]["box"]["xmax"] for row in rows] == [20, 30]
    assert [row[0]["box"]["ymax"] for row in rows] == [10, 40]


def test_retinaface_s_boxes_and_landmarks_are_offsets_from_priors(objects):
    # strides 16 and 32 on 64 x 96, two sides each: (4*6 + 2*3) * 2 priors
    places = [(y, x, 16, side) for y in range(4) for x in range(6) for side in (10, 20)]
    places += [(y, x, 32, side) for y in range(2) for x in range(3) for side in (40, 50)]
    chosen = 17  # row 1, column 2, side 20: its middle is at 40, 24
    scores = np.full((1, len(places), 2), 0.0)
    scores[0, :, 0] = 9
    scores[0, chosen] = [0, 3]
    boxes, marks = np.zeros((1, len(places), 4)), np.zeros((1, len(places), 10))
    boxes[0, chosen] = [1.0, -0.5, 0.3, 0.0]
    marks[0, chosen, :2] = [-1.0, 2.0]
    y, x, stride, side = places[chosen]
    cx, cy = (x + 0.5) * stride + 1.0 * 0.1 * side, (y + 0.5) * stride - 0.5 * 0.1 * side
    width = side * math.exp(0.3 * 0.2)
    outputs = {
        "conf": {"decode": "ssd"},
        "loc": {
            "decode": "boxes",
            "strides": [16, 32],
            "min_sizes": [[10, 20], [40, 50]],
            "variances": [0.1, 0.2],
        },
        "landms": {"decode": "landmarks"},
    }
    values = {"conf": scores, "loc": boxes, "landms": marks}
    [[found]] = objects(outputs, values, size=(64, 96), labels=FACE)
    expected = (cx - width / 2, cy - side / 2, cx + width / 2, cy + side / 2)
    assert tuple(found["box"].values()) == tuple(round(edge) for edge in expected)
    assert found["landmarks"][0] == {"x": round(40 - 0.1 * 20), "y": round(24 + 0.2 * 20)}
    assert found["landmarks"][4] == {"x": 40, "y": 24}
    assert found["score"] == pytest.approx(float(softmax([0, 3])[1]), abs=1e-6)


def test_priors_may_come_out_of_the_model(told):
    scores = np.array([[[0.0, 5.0, 0.0, 0.0], [9.0, 0.0, 0.0, 0.0]]])
    boxes = np.array([[[1.0, 0.0, 0.0, 0.0], [0.0] * 4]])
    near = np.array([[[0.25, 0.25, 0.5, 0.5], [0.0, 0.0, 1.0, 1.0]]])
    outputs = {
        "s": {"decode": "ssd"},
        "b": {"decode": "boxes"},
        "p": {"decode": "priors", "box": "xyxy"},
    }
    # the first prior is 16 wide about (24, 24); its centre moves by 0.1 * 16
    assert told(outputs, {"s": scores, "b": boxes, "p": near}) == [
        [("cat", 0.980, (18, 16, 34, 32))]
    ]


def test_priors_are_squares_about_the_middles_of_cells():
    made = priors((64, 96), (16, 32), ((10, 20), (40,)))
    assert made.shape == ((4 * 6 * 2) + (2 * 3), 4)
    np.testing.assert_allclose(made[0], [8 / 96, 8 / 64, 10 / 96, 10 / 64], rtol=1e-6)
    np.testing.assert_allclose(made[3], [24 / 96, 8 / 64, 20 / 96, 20 / 64], rtol=1e-6)
    np.testing.assert_allclose(made[-1], [80 / 96, 48 / 64, 40 / 96, 40 / 64], rtol=1e-6)
    assert priors((33, 20), (16,), ((8,),)).shape == (3 * 2, 4)  # rounded up


def test_scrfd_has_a_tensor_a_level_without_a_batch(objects):
    """Two anchors a cell, distances in cells from the cell's corner (insightface, scrfd.py)."""
    outputs, values = {}, {}
    for stride in (32, 16):  # in whatever order
        count = (64 // stride) ** 2 * 2
        outputs |= {
            f"score_{stride}": {"decode": "scores", "stride": stride},
            f"bbox_{stride}": {
                "decode": "boxes",
                "stride": stride,
                "box": "ltrb",
                "cell_point": 0,
                "per_cell": 2,
            },
            f"kps_{stride}": {"decode": "landmarks", "stride": stride},
        }
        values |= {
            f"score_{stride}": np.zeros((count, 1)),
            f"bbox_{stride}": np.zeros((count, 4)),
            f"kps_{stride}": np.zeros((count, 10)),
        }
    place = (1 * 4 + 2) * 2 + 1  # row 1, column 2, second anchor, of stride 16
    values["score_16"][place] = 0.9
    values["bbox_16"][place] = [0.5, 0.25, 1.0, 2.0]
    values["kps_16"][place] = [-0.25, 0.5, *[0.0] * 8]
    [[found]] = objects(outputs, values, labels=FACE, items=1)
    assert found["box"] == {"xmin": 24, "ymin": 12, "xmax": 48, "ymax": 48}
    assert found["landmarks"][:2] == [{"x": 28, "y": 24}, {"x": 32, "y": 16}]


def test_yunet_has_twelve_outputs(objects):
    """cls, obj, bbox and kps for each of three strides (opencv_zoo, face_detection_yunet)."""
    outputs, values = {}, {}
    for stride in (8, 16, 32):
        count = (64 // stride) ** 2
        outputs |= {
            f"cls_{stride}": {"decode": "scores", "stride": stride},
            f"obj_{stride}": {
                "decode": "objectness",
                "stride": stride,
                "combine": "geometric-mean",
            },
            f"bbox_{stride}": {"decode": "boxes", "stride": stride, "box": "yolox"},
            f"kps_{stride}": {"decode": "landmarks", "stride": stride},
        }
        values |= {
            f"cls_{stride}": np.zeros((2, count, 1)),
            f"obj_{stride}": np.zeros((2, count, 1)),
            f"bbox_{stride}": np.zeros((2, count, 4)),
            f"kps_{stride}": np.zeros((2, count, 10)),
        }
    assert len(outputs) == 12
    values["cls_8"][1, 20], values["obj_8"][1, 20] = 0.81, 0.64  # row 2, column 4
    values["bbox_8"][1, 20] = [0.5, 0.25, math.log(2), math.log(3)]
    values["kps_8"][1, 20, :2] = [0.5, -0.5]
    [nothing, [found]] = objects(outputs, values, labels=FACE)
    assert nothing == []
    assert found["score"] == pytest.approx(0.72)
    assert found["box"] == {"xmin": 28, "ymin": 6, "xmax": 44, "ymax": 30}
    assert found["landmarks"][0] == {"x": 36, "y": 12}


def test_grids_with_channels_first_are_read(told):
    scores, boxes = np.zeros((1, 3, 4, 4)), np.zeros((1, 4, 4, 4 + 1))[..., :4]
    scores[0, 1, 2, 3] = 0.9
    boxes[0, :, 2, 3] = [1.0, 0.5, 0.25, 0.75]
    outputs = {
        "s": {"decode": "scores"},
        "b": {"decode": "boxes", "box": "ltrb", "strides": [16]},
    }
    # the point is the middle of column 3, row 2: (56, 40)
    assert told(outputs, {"s": scores, "b": boxes}) == [[("dog", 0.9, (40, 32, 60, 52))]]


def test_selected_indices_say_which_boxes_stay(told):
    """As ONNX's NonMaxSuppression gives them, scores with labels before boxes (YOLOv3)."""
    boxes = np.array([[[0, 0, 10, 20], [1, 0, 10, 20], [30, 30, 40, 50]]], np.float32)
    scores = np.array([[[0.9, 0.8, 0.1], [0.0, 0.1, 0.7], [0, 0, 0.2]]], np.float32)
    indices = np.array([[0, 0, 0], [0, 1, 2], [0, 2, 2], [-1, -1, -1]])
    outputs = {
        "b": {"decode": "boxes", "box": "yxyx", "frame": "original"},
        "s": {"decode": "scores"},
        "i": {"decode": "indices"},
    }
    geometry = Geometry((128, 128), (64, 64), 0.5, 0.5, 0.0, 0.0)
    values = {"b": boxes, "s": scores, "i": indices}
    assert told(outputs, values, geometry=geometry, items=1) == [
        [("cat", 0.9, (0, 0, 20, 10)), ("dog", 0.7, (30, 30, 50, 40))]
    ]


def test_boxes_of_the_original_picture_need_no_way_back(told):
    geometry = Geometry((100, 200), (64, 64), 0.3, 0.3, 2.0, 17.0)
    outputs = {
        "b": {"decode": "boxes", "frame": "original"},
        "s": {"decode": "scores"},
        "l": {"decode": "labels"},
    }
    values = {"b": [[[10, 20, 150, 90]]], "s": [[0.9]], "l": [[2]]}
    assert told(outputs, values, geometry=geometry) == [[("cow", 0.9, (10, 20, 150, 90))]]
    fractions = {**outputs, "b": {**outputs["b"], "normalized": True}}
    values["b"] = [[[0.05, 0.2, 0.75, 0.9]]]
    assert told(fractions, values, geometry=geometry) == [[("cow", 0.9, (10, 20, 150, 90))]]


def test_labels_may_count_from_one(told):
    outputs = {
        "b": {"decode": "boxes", "box": "yxyx", "normalized": True},
        "s": {"decode": "scores"},
        "l": {"decode": "labels", "background": True},
        "n": {"decode": "count"},
    }
    values = {
        "b": np.array([[[0.25, 0.5, 0.5, 1.0], [0, 0, 1, 1]]], np.float32),
        "s": np.array([[0.9, 0.8]], np.float32),
        "l": np.array([[1.0, 2.0]], np.float32),
        "n": np.array([1.0], np.float32),
    }
    assert told(outputs, values) == [[("cat", 0.9, (32, 16, 64, 32))]]


def test_a_model_that_found_nothing_answers_nothing(told):
    outputs = {"b": {"decode": "boxes"}, "s": {"decode": "scores"}, "l": {"decode": "labels"}}
    values = {"b": np.zeros((0, 4)), "s": np.zeros(0), "l": np.zeros(0, np.int64)}
    assert told(outputs, values, items=1) == [[]]


def test_what_does_not_go_with_the_boxes_is_refused(objects):
    outputs = {"b": {"decode": "boxes"}, "s": {"decode": "scores"}}
    with pytest.raises(ModelError, match=r"'s' has shape \(1, 5, 3\).* 4 boxes of 1 picture"):
        objects(outputs, {"b": np.zeros((1, 4, 4)), "s": np.zeros((1, 5, 3))})
    with pytest.raises(ModelError, match=r"no boxes of 2 pictures"):
        objects(outputs, {"b": np.zeros((1, 4, 4)), "s": np.zeros((1, 4, 3))}, items=2)


def test_one_picture_s_bad_numbers_are_its_own(objects):
    logits = np.full((2, 3, 4), 5.0)
    logits[0, 1, 1] = np.nan
    outputs = {"l": {"decode": "detr"}, "b": {"decode": "boxes"}}
    first, second = objects(outputs, {"l": logits, "b": np.full((2, 3, 4), 0.5)}, threshold=0.1)
    assert isinstance(first, RecordError)
    assert len(second) == 3


def test_ssd_needs_its_priors(objects):
    outputs = {"s": {"decode": "ssd"}, "b": {"decode": "boxes"}}
    with pytest.raises(ConfigError, match=r"outputs\.b: box: ssd needs priors"):
        objects(outputs, {"s": np.zeros((1, 2, 4)), "b": np.zeros((1, 2, 4))})

"""Detectors' outputs whose sides do not go with what is said of them."""

import pytest

from streamer.errors import ModelError
from streamer.infer.fit_boxes import check_boxes
from streamer.infer.session import TensorInfo
from streamer.models import Manifest, Version

LABELS = {0: "a", 1: "b", 2: "c"}


def check(tmp_path, output, shape):
    manifest = Manifest.model_validate(
        {
            "name": "m",
            "task": "object-detection",
            "id2label": LABELS,
            "inputs": {"x": {"kind": "image", "size": {"height": 64, "width": 64}}},
            "outputs": {"y": output},
        }
    )
    version = Version(tmp_path, manifest, tmp_path / "model.onnx")
    check_boxes(version, manifest.outputs["y"], TensorInfo("y", "float32", shape))


@pytest.mark.parametrize(
    ("output", "right", "wrong", "said"),
    [
        ({"decode": "detr"}, (None, 9, 4), (None, 9, 5), "id2label has 3 label"),
        ({"decode": "detr-sigmoid"}, (None, 9, 3), (None, 9, 4), "id2label has 3 label"),
        ({"decode": "ssd"}, (1, 9, 4), (1, 9, 6), "id2label has 3 label"),
        ({"decode": "scores"}, (1, 3, 9), (1, 5, 9), "id2label has 3 label"),
        ({"decode": "heatmap"}, (1, 3, 8, 8), (1, 4, 8, 8), "id2label has 3 label"),
        ({"decode": "boxes"}, (1, 9, 4), (1, 4, 9), "'boxes' has 4 numbers a box"),
        (
            {"decode": "detections", "columns": ["image", "box", "label", "score"]},
            (None, 7),
            (None, 6),
            "columns .image, box, label, score. are 7 numbers a box",
        ),
        (
            {"decode": "yolov3", "anchors": [[1, 1], [2, 2]]},
            (1, 16, 8, 8),
            (1, 24, 8, 8),
            r"2 anchors and 3 labels make 2 \* \(5 \+ 3\) numbers a cell",
        ),
        (
            {"decode": "yolov3", "anchors": [[1, 1], [2, 2]]},
            (1, 8, 8, 2, 8),
            (1, 8, 8, 3, 8),
            r"2 anchors and 3 labels make",
        ),
    ],
)
def test_sides_must_be_those_of_the_decoding(tmp_path, output, right, wrong, said):
    check(tmp_path, output, right)
    with pytest.raises(ModelError, match=said):
        check(tmp_path, output, wrong)

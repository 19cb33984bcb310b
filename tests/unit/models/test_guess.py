import pytest
from onnx import helper

from streamer.errors import ModelError
from streamer.models import load_version

PICTURE = {"images": ("float32", [None, 3, 640, 640])}


def load(file, task=None):
    return load_version(str(file), beside=file.parent, models_dir=file.parent, task=task).manifest


def notes(**more):
    return {
        "names": "{0: 'cat', 1: 'dog', 2: 'cow'}",
        "stride": "32",
        "imgsz": "[640, 640]",
        "task": "detect",
        **more,
    }


def test_an_ultralytics_detector_says_all_that_is_needed(tmp_path, write_onnx):
    file = write_onnx(
        tmp_path / "farm.onnx",
        PICTURE,
        {"output0": ("float32", [None, 7, 8400])},
        metadata=notes(),
    )
    manifest = load(file)
    image = manifest.inputs["images"]
    assert manifest.name == "farm"
    assert len(manifest.version) == 12
    assert manifest.task == "object-detection"
    assert manifest.id2label == {0: "cat", 1: "dog", 2: "cow"}
    assert (image.resize_rule, image.pad, image.pad_value) == ("letterbox", "center", 114)
    assert (image.channels, image.rescale_factor) == ("RGB", 1 / 255)
    assert manifest.outputs["output0"].decode == "yolov8"
    assert (manifest.postprocess.threshold, manifest.postprocess.nms.iou) == (0.25, 0.7)


@pytest.mark.parametrize(
    ("shape", "decode"),
    [([None, 25200, 8], "yolov5"), ([1, 300, 6], "detections"), ([None, 7, 8400], "yolov8")],
)
def test_the_detector_s_kind_is_told_by_its_output(tmp_path, write_onnx, shape, decode):
    file = write_onnx(
        tmp_path / "a.onnx", PICTURE, {"output0": ("float32", shape)}, metadata=notes()
    )
    manifest = load(file)
    assert manifest.outputs["output0"].decode == decode
    # what needs no suppression gets none
    assert (manifest.postprocess.nms is None) == (decode == "detections")


def test_an_ultralytics_classifier_gives_probabilities(tmp_path, write_onnx):
    file = write_onnx(
        tmp_path / "a.onnx",
        {"images": ("float32", [None, 3, 224, 224])},
        {"output0": ("float32", [None, 3])},
        metadata=notes(task="classify", imgsz="[224, 224]"),
    )
    manifest = load(file)
    assert manifest.task == "image-classification"
    assert manifest.inputs["images"].crop_size.height == 224
    assert manifest.outputs["output0"].decode == "probabilities"


def test_the_version_follows_the_content(tmp_path, write_onnx):
    outputs = {"output0": ("float32", [None, 7, 8400])}
    first = load(write_onnx(tmp_path / "a.onnx", PICTURE, outputs, metadata=notes()))
    other = load(write_onnx(tmp_path / "a.onnx", PICTURE, outputs, metadata=notes(license="MIT")))
    assert first.version != other.version


def test_a_graph_that_reads_texts_and_names_its_labels_is_complete(tmp_path, write_onnx):
    node = helper.make_node(
        "LinearClassifier",
        ["text"],
        ["label", "probabilities"],
        domain="ai.onnx.ml",
        classlabels_strings=["ham", "spam"],
        coefficients=[1.0],
    )
    file = write_onnx(
        tmp_path / "a.onnx",
        {"text": ("string", [None, 1])},
        {"label": ("string", [None]), "probabilities": ("float32", [None, 2])},
        [node],
    )
    manifest = load(file)
    assert manifest.id2label == {0: "ham", 1: "spam"}
    assert manifest.outputs["label"].decode == "label"
    assert manifest.outputs["probabilities"].decode == "probabilities"


def test_what_is_not_in_the_graph_is_asked_for_as_lines_to_add(tmp_path, write_onnx):
    file = write_onnx(
        tmp_path / "digits.onnx",
        {"Input3": ("float32", [1, 1, 28, 28])},
        {"Plus": ("float32", [1, 10])},
    )
    with pytest.raises(ModelError) as caught:
        load(file)
    lines = str(caught.value).splitlines()
    assert "  name: digits" in lines
    assert "  task: image-classification" in lines
    assert "  id2label: {0: <label>, 1: <label>, …}   # 10 labels" in lines
    assert any("Input3: {kind: image, layout: NCHW, channels: GRAY" in line for line in lines)
    assert any("size: {height: 28, width: 28}" in line for line in lines)
    assert any("Plus: {decode: <logits or probabilities>}" in line for line in lines)


def test_notes_that_are_no_literals_are_not_run(tmp_path, write_onnx):
    file = write_onnx(
        tmp_path / "a.onnx",
        PICTURE,
        {"output0": ("float32", [None, 7, 8400])},
        metadata=notes(names="{0: str('cat'), 1: 'dog', 2: 'cow'}"),
    )
    with pytest.raises(ModelError, match="does not say all that is needed"):
        load(file)

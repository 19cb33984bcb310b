import json
import zipfile

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
    assert manifest.inputs["images"].crop_rounding == "even"
    assert manifest.outputs["output0"].decode == "probabilities"


def torchscript(file, **told):
    """Write what TorchScript's archive tells of itself, and the notes packed along."""
    code = "class Net(Module):\n  def forward(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("net/data.pkl", b"\x80\x02c__torch__\nNet\n")
        archive.writestr("net/constants.pkl", b"")
        archive.writestr("net/code/__torch__.py", code)
        archive.writestr("net/extra/config.txt", json.dumps(told))
    return file


NAMES = {"0": "cat", "1": "dog", "2": "cow"}
OF_V8 = {"task": "detect", "imgsz": [480, 640], "stride": 32, "names": NAMES}


@pytest.mark.parametrize(
    ("told", "decode"),
    [
        (OF_V8, "yolov8"),
        (OF_V8 | {"args": {"nms": False}, "end2end": False}, "yolov8"),
        (OF_V8 | {"args": {"nms": True}}, "detections"),
        (OF_V8 | {"end2end": True}, "detections"),
        ({"shape": [1, 3, 480, 640], "stride": 32, "names": ["cat", "dog", "cow"]}, "yolov5"),
    ],
)
def test_ultralytics_notes_in_torchscript_say_all_that_is_needed(tmp_path, told, decode):
    manifest = load(torchscript(tmp_path / "farm.torchscript", **told))
    image = manifest.inputs["x"]
    assert (manifest.task, manifest.id2label[2]) == ("object-detection", "cow")
    assert (image.layout, image.channels, image.dtype) == ("NCHW", "RGB", "float32")
    assert (image.size.height, image.size.width, image.resize_rule) == (480, 640, "letterbox")
    assert manifest.outputs["output_0"].decode == decode
    assert not manifest.outputs["output_0"].normalized


def test_torchscript_without_notes_asks(tmp_path):
    with pytest.raises(ModelError, match="does not say all that is needed"):
        load(torchscript(tmp_path / "farm.pt"))
    with pytest.raises(ModelError, match="does not say all that is needed"):
        load(torchscript(tmp_path / "limbs.torchscript", **{**OF_V8, "task": "pose"}))


@pytest.mark.parametrize("count", [10, 12])
def test_labels_beside_a_bare_file_are_named_in_the_lines_to_add(tmp_path, write_onnx, count):
    (tmp_path / "classes.txt").write_text("".join(f"digit {n}\n" for n in range(count)))
    file = write_onnx(
        tmp_path / "digits.onnx",
        {"Input3": ("float32", [1, 1, 28, 28])},
        {"Plus": ("float32", [1, 10])},
    )
    more = "" if count == 10 else ", the output has 10"
    with pytest.raises(ModelError) as caught:
        load(file)
    assert f"  labels: classes.txt   # {count} labels{more}" in str(caught.value).splitlines()


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


@pytest.mark.parametrize(
    ("output", "likely"),
    [
        ({"logits": ("float32", [None, 2])}, "text-classification"),
        ({"logits": ("float32", [None, None, 9])}, "token-classification"),
        ({"last_hidden_state": ("float32", [None, None, 8])}, "sentence-similarity"),
    ],
)
def test_the_task_that_is_likely_is_told_by_the_outputs_of_a_graph_of_texts(
    tmp_path, write_onnx, output, likely
):
    inputs = {"input_ids": ("int64", [None, None]), "attention_mask": ("int64", [None, None])}
    with pytest.raises(ModelError, match=f"task: {likely}"):
        load(write_onnx(tmp_path / "texts.onnx", inputs, output))

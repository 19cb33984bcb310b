"""`streamer check` refuses models that would fail or lie, with the reason, before any record."""

import io
import pickle
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import helper, numpy_helper
from support.tiny import picture_model

from streamer.config import Settings
from streamer.errors import ConfigError, ModelError
from streamer.pipeline import check_topologies


def checked(folder: Path, **model: Any) -> list[str]:
    content = {
        "name": "street",
        "source": {"topics": ["in"], "format": "image"},
        "models": {"one": {"uri": str(folder), "device": "cpu", "sessions": 1, **model}},
        "steps": {"predict": {"model": "one"}},
        "sink": {"topic": "out"},
    }
    file = folder.parent / "topology.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return check_topologies([file], Settings(), connect=False)


def rewrite(folder: Path, change: Callable[[onnx.ModelProto], None]) -> None:
    model = onnx.load(folder / "model.onnx")
    change(model)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def a_newer_opset(folder: Path) -> None:
    rewrite(folder, lambda model: setattr(model.opset_import[0], "version", 99))


def an_unknown_operator(folder: Path) -> None:
    rewrite(folder, lambda model: setattr(model.graph.node[0], "op_type", "Guess"))


def external_data(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        def point(model: onnx.ModelProto) -> None:
            shift = numpy_helper.from_array(np.ones(3, np.float32), "shift")
            shift.ClearField("raw_data")
            shift.data_location = onnx.TensorProto.EXTERNAL
            entry = shift.external_data.add()
            entry.key, entry.value = "location", name
            model.graph.initializer.append(shift)
            model.graph.node[-1].output[0] = "mean"
            model.graph.node.append(helper.make_node("Add", ["mean", "shift"], ["logits"]))

        rewrite(folder, point)

    return change


def weights_that_are_nan(folder: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        nan = np.full(3, np.nan, np.float32)
        model.graph.initializer.append(numpy_helper.from_array(nan, "shift"))
        model.graph.node[-1].output[0] = "mean"
        model.graph.node.append(helper.make_node("Add", ["mean", "shift"], ["logits"]))

    rewrite(folder, change)


def a_shape_that_it_cannot_keep(folder: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        shape = numpy_helper.from_array(np.array([7, 7]), "shape")
        model.graph.initializer.append(shape)
        model.graph.node[-1].output[0] = "mean"
        model.graph.node.append(helper.make_node("Reshape", ["mean", "shape"], ["logits"]))

    rewrite(folder, change)


def another_number_of_labels(folder: Path) -> None:
    manifest = yaml.safe_load((folder / "model.yaml").read_text())
    manifest["id2label"] = {0: "red", 1: "green"}
    (folder / "model.yaml").write_text(yaml.safe_dump(manifest))


def renamed(name: str, content: bytes) -> Callable[[Path], None]:
    """Put another file in the model's place."""

    def change(folder: Path) -> None:
        (folder / "model.onnx").unlink()
        (folder / name).write_bytes(content)

    return change


def zipped(entries: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return written.getvalue()


BOMB = zipped({f"model/data/{part}": bytes(2**26) for part in range(4)})
STATE = zipped({"model/data.pkl": pickle.dumps({"weight": 1}), "model/version": b"3"})
BAD = {
    "a newer opset": (a_newer_opset, "cannot be loaded: .*[Oo]pset"),
    "an operator that nobody has": (an_unknown_operator, "cannot be loaded: .*Guess"),
    "external data that is not there": (
        external_data("weights.bin"),
        "weights are in 'weights.bin', which is not beside it",
    ),
    "external data outside of the folder": (
        external_data("../secrets.bin"),
        "reads weights from '../secrets.bin', outside its directory",
    ),
    "another number of labels": (another_number_of_labels, r"id2label has 2 label.* \[N,3\]"),
    "weights that are NaN": (weights_that_are_nan, "the weight 'shift' holds NaN"),
    "a shape that it cannot keep": (a_shape_that_it_cannot_keep, "does not run with inputs as"),
    "a zip bomb under the name of a graph": (renamed("model.onnx", BOMB), "is a zip archive, not"),
    "a zip bomb under the name of a script": (renamed("model.pt", BOMB), "zip bomb"),
    "a pickle of weights": (renamed("model.pt", STATE), r"is a pickle \(torch\.save"),
    "an old pickle": (renamed("model.pt", pickle.dumps([1], 2)), "is a pickle, .* run code"),
    "half a file": (renamed("model.onnx", b"\x08\x08\x12\x07pytorch"), "is no ONNX file"),
    "a Keras file": (renamed("model.h5", b"\x89HDF\r\n\x1a\n" + bytes(99)), "Keras"),
}


@pytest.mark.parametrize(("spoil", "reason"), BAD.values(), ids=BAD)
def test_a_bad_model_is_refused_with_the_reason(tmp_path, spoil, reason):
    folder = picture_model(tmp_path)
    assert any("batch_invariant: exact" in finding for finding in checked(folder))
    spoil(folder)
    with pytest.raises((ModelError, ConfigError), match=reason) as caught:
        checked(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.skipif(find_spec("tensorflow") is not None, reason="platform: TensorFlow is here")
def test_a_missing_framework_is_named_with_its_extra(tmp_path):
    folder = picture_model(tmp_path)
    node = b"\x0a\x15\x0a\x06pixels\x12\x0bPlaceholder"
    renamed("model.pb", node + b"\x0a\x1a\x0a\x06logits\x12\x08Identity\x1a\x06pixels")(folder)
    with pytest.raises(ConfigError, match=r"pip install 'streamer\[tensorflow\]'"):
        checked(folder)


def test_options_that_there_are_not_are_said(tmp_path):
    folder = picture_model(tmp_path)
    with pytest.raises(ModelError, match="session_options: mem_pattern: true: known are"):
        checked(folder, session_options={"mem_pattern": True})
    with pytest.raises(ModelError, match="provider openvino: this ONNX Runtime has no openvino"):
        checked(folder, provider="openvino")


def test_answers_that_move_with_their_batch_are_warned_of(tmp_path):
    def scaled_by_the_batch(model: onnx.ModelProto) -> None:
        model.graph.node[-1].output[0] = "own"
        model.graph.node.extend(
            [
                helper.make_node("ReduceMax", ["own"], ["largest"], keepdims=0),
                helper.make_node("Div", ["own", "largest"], ["logits"]),
            ]
        )

    folder = picture_model(tmp_path)
    rewrite(folder, scaled_by_the_batch)
    warning = "warning: street: predict: answers depend on what else is in the batch"
    assert any(finding.startswith(warning) for finding in checked(folder))
    alone = checked(folder, batch={"deterministic": True})
    assert not any(finding.startswith("warning") for finding in alone)
    assert any("batches of 1, batch_invariant: no (numbers differ" in told for told in alone)

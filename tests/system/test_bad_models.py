"""Model files that must not be loaded, or cannot answer: refused by `check`, with the reason."""

import io
import os
import pickle
import sys
import zipfile

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper
from support import tiny
from support.daemon import command

from streamer.cli.app import main

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
PAGE = b"<!DOCTYPE html>\n<html><title>models/mood/model.onnx</title></html>"


def changed(folder, change):
    """Edit a folder's graph in place."""
    model = onnx.load(folder / "model.onnx")
    change(model)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def written(content):
    def write(folder):
        (folder / "model.onnx").write_bytes(content)

    return write


def wrong_opset(folder):
    def change(model):
        model.opset_import[0].version = 99

    changed(folder, change)


def unknown_operator(folder):
    def change(model):
        model.graph.node[-1].op_type = "ReduceMeaning"

    changed(folder, change)


def external(location):
    def write(folder):
        def change(model):
            weight = model.graph.initializer[0]
            if location == "weights.bin":
                (folder / location).write_bytes(weight.raw_data)
                (folder / location).rename(folder.parent / "hidden.bin")
            weight.ClearField("raw_data")
            weight.data_location = TensorProto.EXTERNAL
            weight.external_data.add(key="location", value=location)

        changed(folder, change)

    return write


def linked_weights(folder):
    external("weights.bin")(folder)
    (folder / "weights.bin").symlink_to(folder.parent / "hidden.bin")


def nan_weights(folder):
    def change(model):
        weights = numpy_helper.to_array(model.graph.initializer[0]).copy()
        weights[2, 0] = np.nan
        model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "weights"))

    changed(folder, change)


def nan_answers(folder):
    """No weight is NaN, but 0 / 0 is."""

    def change(model):
        model.graph.node[-1].output[0] = "mean"
        model.graph.node.extend(
            [
                helper.make_node("Sub", ["mean", "mean"], ["nothing"]),
                helper.make_node("Div", ["nothing", "nothing"], ["logits"]),
            ]
        )

    changed(folder, change)


def cut_off(folder):
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(content[: len(content) // 2])


def fixed_length(folder):
    """The graph takes 64 tokens, the manifest's tokenizer gives any number up to 128."""
    model = onnx.load(folder / "model.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 64
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    rewritten(folder, inputs={"text": {**manifest(folder)["inputs"]["text"], "max_length": 128}})


def impossible_length(folder):
    """A side declared free that a reshape inside holds to 7."""

    def change(model):
        shape = numpy_helper.from_array(np.array([-1, 7], np.int64), "shape")
        model.graph.initializer.append(shape)
        node = helper.make_node("Reshape", ["input_ids", "shape"], ["seven"])
        model.graph.node.insert(0, node)
        model.graph.node[1].input[1] = "seven"

    changed(folder, change)


def too_many_labels(folder):
    rewritten(folder, id2label=["good", "bad", "ugly"])


def too_few_labels(folder):
    rewritten(folder, id2label=["good"])


def zip_bomb(folder):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.onnx", bytes(2**27))
    (folder / "model.onnx").write_bytes(packed.getvalue())


def other_checksum(folder):
    rewritten(folder, files={"model.onnx": "sha256:" + "0" * 64})


def name_that_leads_out(folder):
    rewritten(folder, files={"../mood/model.onnx": "sha256:" + "0" * 64})


def manifest(folder):
    return yaml.safe_load((folder / "model.yaml").read_text())


def rewritten(folder, **keys):
    (folder / "model.yaml").write_text(yaml.safe_dump({**manifest(folder), **keys}))


def torch_file(name, entries, compression=zipfile.ZIP_STORED):
    def write(folder):
        (folder / "model.onnx").unlink()
        with zipfile.ZipFile(folder / name, "w", compression) as archive:
            for entry, content in entries.items():
                archive.writestr(entry, content)

    return write


def old_pickle(folder):
    (folder / "model.onnx").unlink()
    (folder / "model.pt").write_bytes(pickle.dumps({"weight": 1}, protocol=2))


class Ran:
    """Says that it was unpickled."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


BAD = {
    "an opset of the future": (wrong_opset, ["model.onnx", "opset"]),
    "an operator that is none": (unknown_operator, ["model.onnx", "ReduceMeaning"]),
    "weights that are not there": (external("gone.bin"), ["'gone.bin'", "not beside it"]),
    "weights in another folder": (external("../mood.bin"), ["'../mood.bin'", "outside"]),
    "weights at an absolute path": (external("/etc/passwd"), ["'/etc/passwd'", "outside"]),
    "weights behind a link": (linked_weights, ["'weights.bin'", "link that leads outside"]),
    "weights that are NaN": (nan_weights, ["'weights' holds NaN"]),
    "answers that are NaN": (nan_answers, ["NaN"]),
    "a file cut in half": (cut_off, ["model.onnx", "only a part of one"]),
    "more labels than outputs": (too_many_labels, ["id2label has 3", "[N,2]"]),
    "fewer labels than outputs": (too_few_labels, ["id2label has 1", "[N,2]"]),
    "a length it cannot take": (fixed_length, ["max_length", "128", "64"]),
    "a free side that is not free": (impossible_length, ["does not run with inputs as described"]),
    "a web page": (written(PAGE), ["is a web page, not a model"]),
    "git-lfs's pointer": (written(POINTER), ["git-lfs's pointer", "git lfs pull"]),
    "an empty file": (written(b""), ["is empty"]),
    "a pickle named .onnx": (written(pickle.dumps(Ran())), ["is a pickle"]),
    "a zip archive named .onnx": (written(b"PK\x03\x04"), ["is a zip archive", "not unpacked"]),
    "a zip bomb in place of a .onnx": (zip_bomb, ["is a zip archive", "not unpacked"]),
    "a pickle in a .pt": (
        torch_file("model.pt", {"net/data.pkl": pickle.dumps(Ran()), "net/version": "3"}),
        ["model.pt", "is a pickle", "torch.export"],
    ),
    "a pickle of old in a .pt": (old_pickle, ["model.pt", "is a pickle"]),
    "a zip bomb in place of a .pt": (
        torch_file("model.pt", {"net/data/0": bytes(2**27)}, zipfile.ZIP_DEFLATED),
        ["model.pt", "zip bomb"],
    ),
    "a zip bomb in place of a .pt2": (
        torch_file("model.pt2", {"net/data/0": bytes(2**27)}, zipfile.ZIP_DEFLATED),
        ["model.pt2", "zip bomb"],
    ),
    "another file than the listed one": (other_checksum, ["sha256", "is not the file"]),
    "a name that leads out": (name_that_leads_out, ["leads out of the model's directory"]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_model_is_refused_by_check_with_the_reason(name, tmp_path, monkeypatch, capfd):
    spoil, words = BAD[name]
    spoil(tiny.text_model(tmp_path / "models"))
    topology = {
        "name": "bad",
        "source": {"topics": ["messages"], "format": "text"},
        "model": "models/mood",
        "sink": {"topic": "moods"},
    }
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(topology))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["streamer", "check", "bad.yaml"])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capfd.readouterr()
    said = out + err
    assert ended.value.code == 2, said
    assert "Traceback" not in said
    for word in words:
        assert word in said, said
    assert not (tmp_path / "unpickled").exists()


def test_the_command_itself_ends_with_2_and_0(tmp_path):
    folder = tiny.text_model(tmp_path / "models")
    (tmp_path / "good.yaml").write_text(
        "name: good\nsource: {topics: [messages], format: text}\nmodel: models/mood\n"
        "sink: {topic: moods}\n"
    )
    code, said = command("check", "good.yaml", environment={}, folder=tmp_path)
    assert code == 0, said
    nan_weights(folder)
    code, said = command("check", "good.yaml", environment={}, folder=tmp_path)
    assert code == 2, said

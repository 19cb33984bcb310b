import hashlib

import onnx
import pytest
import yaml
from onnx import helper

from streamer.errors import ConfigError, ModelError
from streamer.models import load_version

IMAGE = {"kind": "image", "size": {"height": 8, "width": 8}}
MANIFEST = {
    "name": "kinds",
    "version": 3,
    "task": "image-classification",
    "id2label": {0: "stop", 1: 7},
    "inputs": {"x": IMAGE},
    "outputs": {"y": {"decode": "logits"}},
}


@pytest.fixture
def folder(tmp_path, write_onnx):
    folder = tmp_path / "kinds"
    write_onnx(
        folder / "model.onnx",
        {"x": ("float32", [None, 3, 8, 8])},
        {"y": ("float32", [None, 2])},
    )
    return folder


def write(folder, **changes):
    (folder / "model.yaml").write_text(yaml.safe_dump({**MANIFEST, **changes}))


def load(folder, uri="kinds", task=None):
    return load_version(uri, beside=folder.parent, models_dir=folder.parent / "none", task=task)


def sha256(file):
    return "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_directory_with_a_manifest_is_a_version(folder):
    write(folder, files={"model.onnx": sha256(folder / "model.onnx").upper().replace("SHA", "sha")})
    version = load(folder)
    assert version.folder == folder
    assert version.file == folder / "model.onnx"
    assert version.manifest.version == "3"
    assert version.manifest.id2label == {0: "stop", 1: "7"}


def test_another_file_than_the_listed_one_is_refused(folder):
    write(folder, files={"model.onnx": sha256(folder / "model.onnx")})
    with (folder / "model.onnx").open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(ModelError, match=r"is not the file that model\.yaml names: its sha256 is"):
        load(folder)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"model.onnx": "sha256:abc"}, "write sha256: and 64 hexadecimal digits; got 'sha256:abc'"),
        ({"weights.onnx": "sha256:" + "0" * 64}, "there is no file 'weights.onnx'"),
        ({"../kinds/model.onnx": "sha256:" + "0" * 64}, "leads out of the model's directory"),
        ({"/etc/passwd": "sha256:" + "0" * 64}, "leads out of the model's directory"),
        ({"..\\a.onnx": "sha256:" + "0" * 64}, "leads out of the model's directory"),
    ],
)
def test_files_must_be_there_in_the_directory_and_have_a_sum(folder, files, said):
    write(folder, files=files)
    with pytest.raises(ModelError, match="model") as caught:
        load(folder)
    assert said in str(caught.value)


def test_the_tokenizer_must_be_there(folder):
    text = {"kind": "text", "tokenizer": "../tok.json", "tensors": {"x": "ids"}}
    write(folder, inputs={"text": text})
    with pytest.raises(ModelError, match=r"'\.\./tok\.json' leads out"):
        load(folder)


def test_one_model_file_must_be_meant(folder):
    (folder / "model.onnx").rename(folder / "a.onnx")
    (folder / "b.onnx").write_bytes(b"")
    write(folder)
    with pytest.raises(ModelError, match=r"name the one model file.*found a\.onnx, b\.onnx"):
        load(folder)
    (folder / "a.onnx").unlink()
    (folder / "b.onnx").unlink()
    with pytest.raises(ModelError, match="found no model file"):
        load(folder)


@pytest.mark.parametrize("location", ["../weights.bin", "/weights.bin"])
def test_weights_outside_the_directory_are_refused(folder, location):
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=1)
    tensor.external_data.add(key="location", value=location)
    graph = helper.make_graph([], "g", [], [helper.make_tensor_value_info("w", 1, [1])], [tensor])
    (folder / "model.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    write(folder)
    with pytest.raises(ModelError, match=r"reads weights from .* outside its directory"):
        load(folder)


def test_weights_that_are_missing_are_missed(folder):
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=1)
    tensor.external_data.add(key="location", value="weights.bin")
    graph = helper.make_graph([], "g", [], [helper.make_tensor_value_info("w", 1, [1])], [tensor])
    (folder / "model.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    write(folder)
    with pytest.raises(ModelError, match=r"weights are in 'weights\.bin', which is not beside it"):
        load(folder)


def test_a_wrong_key_is_named_with_its_line(folder):
    write(folder, id2lable={0: "stop"})
    with pytest.raises(ConfigError, match=r"model\.yaml:\d+: id2lable: .*'id2label'"):
        load(folder)


def test_tasks_must_exist_and_agree(folder):
    write(folder)
    assert load(folder, task="image-classification").manifest.name == "kinds"
    with pytest.raises(ConfigError, match="wants the task 'object-detection', the model is for"):
        load(folder, task="object-detection")
    with pytest.raises(ConfigError, match="no task 'image-clasification'; did you mean"):
        load(folder, task="image-clasification")
    write(folder, task="image-classify")
    with pytest.raises(ConfigError, match=r"model\.yaml: task: there is no task 'image-classify'"):
        load(folder)


def test_a_directory_of_versions_and_its_manifests_must_agree(folder):
    numbered = folder.parent / "signs"
    numbered.mkdir()
    folder.rename(numbered / "3")
    write(numbered / "3")
    assert load(numbered, uri="signs").manifest.version == "3"
    (numbered / "3").rename(numbered / "4")
    with pytest.raises(ModelError, match="version: '3' stands in a directory of versions as '4'"):
        load(numbered, uri="signs")
    assert load(numbered, uri="signs/4").manifest.version == "3"

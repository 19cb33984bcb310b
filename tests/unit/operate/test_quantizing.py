"""A twin in eight bits: made, compared, chosen by the topology, refused where there is none."""

import json

import onnx
import pytest
from onnx import TensorProto
from support import tiny

from streamer.config import Settings
from streamer.config.topology import ModelRef
from streamer.errors import ConfigError, ModelError
from streamer.models import load_version
from streamer.operate.quantizing import Quantizing, quantize_model
from streamer.pipeline.loaded import open_sessions


def read(folder):
    return load_version(str(folder), beside=folder, models_dir=folder)


def quantized(capsys, source, target, data, **options):
    given = Quantizing(str(source), target, (data,), as_json=True, **options)
    assert quantize_model(given, Settings()) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def texts(tmp_path):
    file = tmp_path / "texts.jsonl"
    rows = [("good fine", "good"), ("bad awful", "bad"), ("good", "bad"), ("fine", "unknown")]
    file.write_text("".join(json.dumps({"text": t, "label": n}) + "\n" for t, n in rows))
    return file


def test_a_place_that_cannot_be_written_is_told(tmp_path, texts):
    given = Quantizing(str(tiny.text_model(tmp_path)), texts / "new", (texts,))
    with pytest.raises(ConfigError, match="new: cannot be written: Not a directory"):
        quantize_model(given, Settings())


def test_the_effect_on_labelled_texts_is_told_and_kept(tmp_path, capsys, texts):
    told = quantized(capsys, tiny.text_model(tmp_path), tmp_path / "new", texts)
    assert told["way"] == "dynamic"
    assert told["records"] == 4
    assert told["labelled"] == 3  # one label is none of the model's
    assert told["accuracy"] == pytest.approx(2 / 3)
    assert told["accuracy_after"] == pytest.approx(2 / 3)
    manifest = read(tmp_path / "new").manifest
    assert set(manifest.files) == {"model.onnx", "model.int8.onnx", "tokenizer.json"}
    assert manifest.lineage.model_extra["int8"]["records"] == 4


def test_the_topology_chooses_the_precision(tmp_path, capsys, texts):
    quantized(capsys, tiny.text_model(tmp_path), tmp_path / "new", texts)
    version = read(tmp_path / "new")
    assert version.file.name == "model.onnx"
    [session] = open_sessions(version, ModelRef(uri="x", sessions=1, precision="int8"))
    assert set(session.outputs) == {"logits"}


def test_a_twin_in_half_precision_is_made_and_chosen(tmp_path, capsys, texts):
    source = tiny.text_model(tmp_path)
    told = quantized(capsys, source, tmp_path / "new", texts, precision="fp16")
    assert told["way"] == "fp16"
    assert told["accuracy_after"] == pytest.approx(2 / 3)
    assert told["most"] < 0.01
    version = read(tmp_path / "new")
    assert set(version.manifest.files) == {"model.onnx", "model.fp16.onnx", "tokenizer.json"}
    assert version.manifest.lineage.model_extra["fp16"]["records"] == 4
    graph = onnx.load(tmp_path / "new" / "model.fp16.onnx").graph
    assert TensorProto.FLOAT16 in {weights.data_type for weights in graph.initializer}
    [session] = open_sessions(version, ModelRef(uri="x", sessions=1, precision="fp16"))
    assert session.outputs["logits"].dtype == "float32"


def test_a_twin_of_a_model_of_pictures_is_fused_as_well(tmp_path, capsys):
    folder = tmp_path / "data" / "red"
    folder.mkdir(parents=True)
    (folder / "one.png").write_bytes(tiny.picture("red", (32, 32), ".png"))
    quantized(capsys, tiny.picture_model(tmp_path), tmp_path / "new", folder, precision="fp16")
    ref = ModelRef(uri="x", device="cpu", sessions=1, precision="fp16", fuse=True)
    [session] = open_sessions(read(tmp_path / "new"), ref)
    assert session.inputs["pixels"].dtype == "uint8"


def test_without_a_twin_int8_says_how_to_make_one(tmp_path):
    version = read(tiny.text_model(tmp_path))
    with pytest.raises(ModelError, match="streamer models quantize"):
        open_sessions(version, ModelRef(uri="x", sessions=1, precision="int8"))


def test_pictures_are_calibrated_on_the_data(tmp_path, capsys):
    for colour in tiny.COLOURS:
        folder = tmp_path / "data" / colour
        folder.mkdir(parents=True)
        (folder / "one.png").write_bytes(tiny.picture(colour, (32, 32), ".png"))
    told = quantized(capsys, tiny.picture_model(tmp_path), tmp_path / "new", tmp_path / "data")
    assert told["way"] == "static"
    assert told["labelled"] == 3
    assert told["accuracy"] == 1.0


def test_a_folder_that_is_there_is_not_written_over(tmp_path, texts):
    (tmp_path / "new").mkdir()
    with pytest.raises(ConfigError, match="is there already"):
        quantize_model(
            Quantizing(str(tiny.text_model(tmp_path)), tmp_path / "new", (texts,)), Settings()
        )


def test_data_that_the_model_cannot_read_is_an_error_and_leaves_nothing(tmp_path):
    lines = tmp_path / "lines.txt"
    lines.write_text("no picture\n")
    given = Quantizing(str(tiny.picture_model(tmp_path)), tmp_path / "new", (lines,))
    with pytest.raises(ConfigError, match="reads none of these records"):
        quantize_model(given, Settings())
    assert not list(tmp_path.glob("*new*"))

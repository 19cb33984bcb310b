"""Folders that MLflow wrote, read by their `MLmodel`."""

import sys

import pytest
import yaml
from support import tiny

from streamer.errors import ConfigError, ModelError
from streamer.models import load_version


def logged(folder, **flavours):
    folder.mkdir(parents=True, exist_ok=True)
    written = {"flavors": flavours, "model_uuid": "1", "mlflow_version": "3.0.0"}
    (folder / "MLmodel").write_text(yaml.safe_dump(written))
    return folder


def load(folder, task=None):
    return load_version(str(folder), beside=folder, models_dir=folder, task=task)


def test_the_onnx_flavour_s_file_is_the_model(tmp_path, write_onnx):
    folder = logged(
        tmp_path / "spam",
        onnx={"data": "model.onnx", "onnx_version": "1.19"},
        python_function={"loader_module": "mlflow.onnx"},
    )
    tiny.text_model(tmp_path, "made")
    for name in ("model.onnx", "model.yaml", "tokenizer.json"):
        (folder / name).write_bytes((tmp_path / "made" / name).read_bytes())
    (folder / "model.yaml").unlink()
    with pytest.raises(ModelError, match="does not say all that is needed") as caught:
        load(folder)
    assert str(folder / "model.onnx") in str(caught.value)


def test_the_transformers_flavour_s_folder_is_the_model(tmp_path, write_onnx):
    folder = logged(tmp_path / "spam", transformers={"model_binary": "model"})
    write_onnx(
        folder / "model" / "model.onnx",
        {"input_ids": ("int64", [None, None])},
        {"logits": ("float32", [None, 2])},
    )
    (folder / "model" / "config.json").write_text(
        '{"architectures": ["BertForSequenceClassification"], "id2label": {"0": "a", "1": "b"}}'
    )
    (folder / "model" / "tokenizer.json").write_text("{}")
    assert load(folder).manifest.id2label == {0: "a", 1: "b"}


def test_pickled_flavours_are_refused_with_those_that_run(tmp_path):
    folder = logged(
        tmp_path / "spam",
        sklearn={"pickled_model": "model.pkl"},
        python_function={"model_path": "model.pkl"},
    )
    with pytest.raises(
        ModelError, match="flavours python_function, sklearn; those that can be run"
    ):
        load(folder)


def test_a_flavour_that_leads_out_of_its_folder_is_refused(tmp_path):
    folder = logged(tmp_path / "spam", onnx={"data": "../../model.onnx"})
    with pytest.raises(ModelError, match="leads out of the folder"):
        load(folder)


@pytest.mark.parametrize("uri", ["models:/spam/1", "mlflow:models:/spam@champion", "runs:/1/model"])
def test_without_mlflow_its_extra_is_named(tmp_path, monkeypatch, uri):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigError, match=r"pip install 'streamer\[mlflow\]'"):
        load_version(uri, beside=tmp_path, models_dir=tmp_path)

"""Models brought into the registry, from files to versions that are found and answer."""

import json

import pytest
import yaml
from support import tiny

from streamer.config import Settings
from streamer.config.settings import ModelSettings
from streamer.errors import ConfigError, ModelError
from streamer.models import load_version
from streamer.models.golden import golden_records
from streamer.models.registry import open_registry
from streamer.operate.adding import Addition, add_model


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Settings(models=ModelSettings(dir=tmp_path / "models", registry=str(tmp_path / "reg")))


def added(settings, **addition):
    assert add_model(Addition(**addition), settings) == 0
    return open_registry(settings.models)


def test_a_version_is_added_with_checksums_and_its_source(tmp_path, settings, capsys):
    folder = tiny.text_model(tmp_path / "made")
    registry = added(settings, source=str(folder))
    added(settings, source=str(folder))
    assert registry.versions("mood") == ["1", "2"]
    manifest = registry.manifest("mood", "2")
    assert sorted(manifest.files) == ["model.onnx", "tokenizer.json"]
    assert manifest.lineage.model_dump()["source"] == str(folder)
    version = load_version("registry:mood@2", beside=tmp_path, models_dir=tmp_path / "reg")
    assert version.manifest.id2label == {0: "good", 1: "bad"}
    assert "registry:mood@2" in capsys.readouterr().out


def test_a_bare_file_is_added_with_the_manifest_that_is_given(tmp_path, settings):
    folder = tiny.picture_model(tmp_path / "made")
    (tmp_path / "colours.onnx").write_bytes((folder / "model.onnx").read_bytes())
    with pytest.raises(ModelError, match="with the values in <> filled in"):
        added(settings, source="colours.onnx")
    (folder / "model.yaml").rename(tmp_path / "given.yaml")
    registry = added(
        settings, source="colours.onnx", manifest=tmp_path / "given.yaml", name="shades"
    )
    assert list(registry.manifest("shades", "1").files) == ["colours.onnx"]
    assert registry.manifest("shades", "1").id2label[0] == "red"


def test_what_a_given_manifest_names_beside_a_bare_file_comes_along(tmp_path, settings):
    folder = tiny.picture_model(tmp_path / "made")
    (tmp_path / "colours.onnx").write_bytes((folder / "model.onnx").read_bytes())
    manifest = yaml.safe_load((folder / "model.yaml").read_text())
    labels = manifest.pop("id2label")
    names = labels if isinstance(labels, list) else list(labels.values())
    (tmp_path / "colours.names").write_text("\n".join(names))
    (tmp_path / "given.yaml").write_text(
        yaml.safe_dump({**manifest, "files": {}, "labels": "colours.names"})
    )
    registry = added(
        settings, source="colours.onnx", manifest=tmp_path / "given.yaml", name="shades"
    )
    assert sorted(registry.manifest("shades", "1").files) == ["colours.names", "colours.onnx"]
    version = load_version("registry:shades", beside=tmp_path, models_dir=tmp_path / "reg")
    assert list(version.manifest.id2label.values()) == names


def test_answers_to_golden_records_are_kept_with_the_version(tmp_path, settings):
    folder = tiny.text_model(tmp_path / "made")
    (tmp_path / "texts.txt").write_text("good\nbad bad\n")
    registry = added(settings, source=str(folder), golden=(tmp_path / "texts.txt",))
    kept = golden_records(registry.folder("mood", "1"))
    assert [record.value for record in kept] == [b"good", b"bad bad"]
    assert [record.output[0]["label"] for record in kept] == ["good", "bad"]
    assert "golden/records.jsonl" in registry.manifest("mood", "1").files


def test_golden_pictures_are_kept_beside_their_answers(tmp_path, settings):
    folder = tiny.picture_model(tmp_path / "made")
    (tmp_path / "red.png").write_bytes(tiny.picture("red", form=".png"))
    registry = added(settings, source=str(folder), golden=(tmp_path / "red.png",))
    [record] = golden_records(registry.folder("colours", "1"))
    assert (record.form, record.output[0]["label"]) == ("image", "red")
    assert record.value == (tmp_path / "red.png").read_bytes()


def test_a_golden_record_that_cannot_be_answered_keeps_the_version_out(tmp_path, settings):
    folder = tiny.picture_model(tmp_path / "made")
    (tmp_path / "red.png").write_bytes(b"no picture")
    with pytest.raises(ConfigError, match=r"--golden: .*red\.png"):
        added(settings, source=str(folder), golden=(tmp_path / "red.png",))
    assert open_registry(settings.models).versions("colours") == []


def test_what_does_not_load_is_not_added_unless_it_is_said(tmp_path, settings):
    folder = tiny.text_model(tmp_path / "made", id2label=["good", "bad", "ugly"])
    with pytest.raises(ModelError, match="id2label has 3"):
        added(settings, source=str(folder))
    registry = added(settings, source=str(folder), untried=True)
    assert registry.versions("mood") == ["1"]
    with pytest.raises(ConfigError, match="leave --untried out"):
        added(settings, source=str(folder), untried=True, golden=(tmp_path,))


def test_code_and_pickles_in_a_folder_stay_where_they_are(tmp_path, settings):
    folder = tiny.text_model(tmp_path / "made")
    (folder / "model.yaml").unlink()
    config = {"architectures": ["XForSequenceClassification"], "id2label": ["good", "bad"]}
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("pytorch_model.bin", "modeling_x.py", "training.pkl", ".cache"):
        (folder / name).write_bytes(b"\x80\x02")
    registry = added(settings, source=str(folder))
    manifest = registry.manifest("mood", "1")
    assert sorted(manifest.files) == ["config.json", "model.onnx", "tokenizer.json"]
    written = yaml.safe_load((registry.folder("mood", "1") / "model.yaml").read_text())
    assert written["task"] == "text-classification"


def test_a_password_in_the_source_is_not_written_down(tmp_path, settings):
    import fsspec

    place = fsspec.filesystem("memory")
    folder = tiny.text_model(tmp_path / "made")
    for file in folder.iterdir():
        place.pipe_file(f"/me:secret@host/mood/{file.name}", file.read_bytes())
    registry = added(settings, source="memory://me:secret@host/mood")
    assert registry.manifest("mood", "1").lineage.model_dump()["source"] == "memory://host/mood"
    place.store.clear()

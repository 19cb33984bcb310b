"""Models of the hub, through its own client, from a hub on this machine."""

import json

import pytest
from huggingface_hub import constants, snapshot_download
from support.hub import Hub, served

from streamer.errors import ConfigError, DownloadError, ModelError
from streamer.models import load_version
from streamer.models.sources.hub import needed, snapshot

CONFIG = {
    "architectures": ["TinyForImageClassification"],
    "id2label": {"0": "cat", "1": "dog"},
}
STEPS = {
    "do_normalize": False,
    "size": {"height": 8, "width": 8},
    "image_processor_type": "ViTImageProcessor",
}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    hub = Hub("farm/animals")
    with served(hub) as address:
        files = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield hub


@pytest.fixture
def files(tmp_path, write_onnx):
    file = write_onnx(
        tmp_path / "made.onnx",
        {"pixel_values": ("float32", [None, 3, 8, 8])},
        {"logits": ("float32", [None, 2])},
    )
    return {
        "onnx/model.onnx": file.read_bytes(),
        "onnx/model_quantized.onnx": b"another one, not asked for",
        "pytorch_model.bin": b"\x80\x02 a pickle",
        "config.json": json.dumps(CONFIG).encode(),
        "preprocessor_config.json": json.dumps(STEPS).encode(),
        "README.md": b"# Animals",
        "modeling_tiny.py": b"raise SystemExit",
    }


def load(uri, tmp_path):
    return load_version(uri, beside=tmp_path, models_dir=tmp_path, cache=tmp_path / "cache")


def test_only_what_is_needed_is_fetched_and_the_commit_is_the_version(hub, files, tmp_path):
    commit = hub.commit(files)
    version = load(f"hf:farm/animals@{commit}", tmp_path)
    assert (version.manifest.name, version.manifest.version) == ("animals", commit[:12])
    assert version.manifest.id2label == {0: "cat", 1: "dog"}
    fetched = {path.rpartition(f"{commit}/")[2] for path in hub.asked if "/resolve/" in path}
    assert fetched == {"onnx/model.onnx", "config.json", "preprocessor_config.json"}


def test_a_moving_revision_is_pinned_at_its_first_load(hub, files, tmp_path):
    first = hub.commit(files)
    assert load("hf:farm/animals", tmp_path).manifest.version == first[:12]
    second = hub.commit({**files, "README.md": b"# More animals"})
    assert load("hf:farm/animals", tmp_path).manifest.version == first[:12]
    assert load(f"hf:farm/animals@{second}", tmp_path).manifest.version == second[:12]


def test_what_is_in_the_cache_needs_no_hub(hub, files, tmp_path):
    commit = hub.commit(files)
    load("hf:farm/animals", tmp_path)
    hub.down = True
    hub.asked.clear()
    assert load("hf:farm/animals", tmp_path).manifest.version == commit[:12]
    assert load(f"hf:farm/animals@{commit}", tmp_path).manifest.version == commit[:12]
    assert hub.asked == []


def test_offline_mode_takes_what_the_cache_has_and_asks_nobody(hub, files, tmp_path, monkeypatch):
    commit = hub.commit(files)
    snapshot_download("farm/animals")  # by another program
    hub.asked.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load("hf:farm/animals", tmp_path).manifest.version == commit[:12]
    assert hub.asked == []
    with pytest.raises(DownloadError, match=r"the cache \(HF_HOME\) lacks it"):
        load("hf:farm/other", tmp_path)


def test_a_damaged_file_in_the_cache_is_not_used(hub, files, tmp_path):
    hub.commit(files)
    folder = snapshot("hf:farm/animals", tmp_path / "cache")
    blob = (folder / "onnx" / "model.onnx").resolve()
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelError, match=r"is damaged: its sha256 is .* fetch it anew"):
        load("hf:farm/animals", tmp_path)


@pytest.mark.parametrize("uri", ["hf:animals", "hf:", "hf:a/b/c", "hf:farm/animals@", "hf:../x@y"])
def test_a_uri_that_is_none_is_told_the_form(hub, tmp_path, uri):
    with pytest.raises(ConfigError, match=r"write hf:ORG/REPO@COMMIT|no such repository"):
        load(uri, tmp_path)


def test_a_revision_that_is_not_there_is_named(hub, files, tmp_path):
    hub.commit(files)
    with pytest.raises(ConfigError, match="the repository has no such revision"):
        load("hf:farm/animals@v9", tmp_path)


def test_pickled_weights_are_not_fetched():
    sizes = dict.fromkeys(("config.json", "pytorch_model.bin", "tf_model.h5"), 10)
    with pytest.raises(ModelError, match=r"its weights are pickled \(pytorch_model\.bin"):
        needed("hf:farm/animals", sizes)


def test_a_repository_larger_than_any_model_is_not_fetched(hub, files, tmp_path, monkeypatch):
    monkeypatch.setattr("streamer.models.sources.hub.MAX_BYTES", 100)
    hub.commit(files)
    with pytest.raises(ModelError, match="larger than can be run here"):
        load("hf:farm/animals", tmp_path)
    assert not [path for path in hub.asked if "/resolve/" in path]


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        (["model.safetensors", "onnx/model.onnx", "onnx/model.onnx_data"],
         {"onnx/model.onnx", "onnx/model.onnx_data"}),
        (["model.safetensors", "pytorch_model.bin", "onnx/model_fp16.onnx"], {"model.safetensors"}),
        (["model.safetensors.index.json", "model-00001-of-00002.safetensors",
          "model-00002-of-00002.safetensors", "consolidated.safetensors"],
         {"model.safetensors.index.json", "model-00001-of-00002.safetensors",
          "model-00002-of-00002.safetensors"}),
        (["saved_model.pb", "variables/variables.index"],
         {"saved_model.pb", "variables/variables.index"}),
    ],
)  # fmt: skip
def test_weights_are_chosen_that_can_be_trusted(there, chosen):
    described = {"config.json", "tokenizer.json", "1_Pooling/config.json"}
    sizes = dict.fromkeys([*there, *described, "README.md", "train.py"], 10)
    assert needed("hf:a/b", sizes) == chosen | described

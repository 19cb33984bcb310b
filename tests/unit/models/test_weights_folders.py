"""Folders of safetensors and of timm: what is read off them without their network."""

import json
import struct

import pytest

from streamer.errors import ModelError
from streamer.models import load_version
from streamer.models.huggingface.network import network

LABELS = {"0": "cat", "1": "dog"}
VIT = {
    "size": {"height": 8, "width": 8},
    "image_mean": [0.5] * 3,
    "image_std": [0.5] * 3,
    "image_processor_type": "ViTImageProcessor",
}
TIMM = {
    "architecture": "resnet10t",
    "num_classes": 2,
    "label_names": ["n01", "n02"],
    "label_descriptions": {"n01": "cat"},
    "pretrained_cfg": {
        "input_size": [3, 176, 176],
        "interpolation": "bicubic",
        "crop_pct": 0.875,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    },
}


def folder_of(tmp_path, config, **files):
    folder = tmp_path / "net"
    folder.mkdir()
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    weights = struct.pack("<Q", len(header)) + header + b"\0\0\0\0"
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "config.json").write_text(json.dumps(config))
    for name, content in files.items():
        place = folder / f"{name}.json"
        place.write_text(json.dumps(content))
    return folder


def load(folder, task=None):
    return load_version(str(folder), beside=folder, models_dir=folder, task=task)


def test_a_classifier_s_tensors_are_those_that_its_class_names(tmp_path):
    config = {"architectures": ["ViTForImageClassification"], "id2label": LABELS}
    folder = folder_of(tmp_path, config, preprocessor_config=VIT)
    version = load(folder)
    assert version.file == folder / "model.safetensors"
    assert list(version.manifest.inputs) == ["pixel_values"]
    assert version.manifest.outputs["logits"].decode == "logits"
    assert version.manifest.id2label == {0: "cat", 1: "dog"}


@pytest.mark.parametrize(
    ("types", "takes"),
    [
        (2, ["input_ids", "attention_mask", "token_type_ids"]),
        (1, ["input_ids", "attention_mask"]),
        (None, ["input_ids", "attention_mask"]),
    ],
)
def test_token_types_go_in_where_there_are_several(types, takes):
    config = {"type_vocab_size": types} if types else {}
    graph = network(config, "text-classification")
    assert [tensor.name for tensor in graph.inputs] == takes


def test_a_cross_encoder_gives_scores_where_an_embedder_gives_vectors():
    vectors = network({"architectures": ["BertModel"], "hidden_size": 8}, "sentence-similarity")
    assert [str(t) for t in vectors.outputs] == ["'last_hidden_state' float32 [N,?,8]"]
    config = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}}
    scores = network(config, "sentence-similarity")
    assert [str(t) for t in scores.outputs] == ["'logits' float32 [N,1]"]


def test_a_folder_of_timm_is_prepared_as_its_evaluation_does(tmp_path):
    version = load(folder_of(tmp_path, TIMM))
    picture = version.manifest.inputs["pixel_values"]
    assert version.manifest.task == "image-classification"
    assert version.manifest.id2label == {0: "cat", 1: "n02"}
    assert picture.size.model_dump(exclude_none=True) == {"shortest_edge": 201}
    assert (picture.crop_size.height, picture.crop_size.width) == (176, 176)
    assert (picture.resample, picture.rescale_factor) == ("pillow-bicubic", 1 / 255)
    assert picture.image_mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize(
    ("changed", "asked"),
    [
        ({"mean": None}, "pretrained_cfg.mean"),
        ({"crop_mode": "border"}, "crop_mode border"),
        ({"interpolation": "random"}, "interpolation random"),
        ({"input_size": [3, 176, 200]}, "no square"),
    ],
)
def test_what_timm_says_in_another_way_is_asked_for(tmp_path, changed, asked):
    config = {**TIMM, "pretrained_cfg": {**TIMM["pretrained_cfg"], **changed}}
    with pytest.raises(ModelError, match=asked) as caught:
        load(folder_of(tmp_path, config))
    assert "pixel_values: {kind: image, layout: NCHW" in str(caught.value)


def test_pickled_weights_are_the_last_that_are_taken(tmp_path):
    config = {"architectures": ["ViTForImageClassification"], "id2label": LABELS}
    folder = folder_of(tmp_path, config, preprocessor_config=VIT)
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02")
    assert load(folder).file.name == "model.safetensors"
    (folder / "model.safetensors").unlink()
    version = load(folder)
    assert version.file.name == "pytorch_model.bin"
    assert version.manifest.name == "net"


def test_what_is_missing_is_asked_for_once_with_what_is_known_filled_in(tmp_path):
    config = {"id2label": LABELS, "type_vocab_size": 2}
    with pytest.raises(ModelError, match="which task it is for: write 'task:'") as caught:
        load(folder_of(tmp_path, config))
    assert '["cat", "dog"]' in str(caught.value)

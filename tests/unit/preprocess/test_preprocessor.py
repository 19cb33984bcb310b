"""Manifests that go together, and those that do not."""

import numpy as np
import pytest
from tokenizers import Tokenizer

from streamer.errors import ModelError
from streamer.models.manifest import Manifest
from streamer.preprocess import preprocessor_for
from streamer.records import Text

PICTURE = {"kind": "image", "size": {"height": 4, "width": 4}}
TEXT = {"kind": "text", "tokenizer": "tokenizer.json", "tensors": {"ids": "ids"}}
STRING = {"kind": "text", "tensors": {"text": "string"}}


def manifest(task: str = "image-classification", **inputs) -> Manifest:
    return Manifest(name="m", task=task, inputs=inputs, outputs={"y": {"decode": "logits"}})


@pytest.mark.parametrize(
    ("task", "spec", "kind"),
    [
        ("image-classification", PICTURE, "image"),
        ("text-classification", TEXT, "text"),
        ("text-classification", STRING, "text"),
        ("sentence-similarity", TEXT, "pair"),
        ("text-classification", {**TEXT, "pair": True}, "pair"),
    ],
)
def test_the_manifest_says_what_the_model_reads(task, spec, kind, folder):
    assert preprocessor_for(manifest(task, x=spec), folder).kind == kind


def test_constants_stand_beside_every_batch(folder, scene):
    numbers = {"kind": "constant", "value": [[416, 416]], "dtype": "int64"}
    model = preprocessor_for(manifest(x=PICTURE, shape=numbers), folder)
    ((part,),) = model.prepare([scene(4, 4)])
    batch = model.collate([part, part])
    assert batch["x"].shape == (2, 3, 4, 4)
    assert batch["shape"].tolist() == [[416, 416]]
    assert batch["shape"].dtype == np.int64


@pytest.mark.parametrize(
    ("inputs", "seen"),
    [
        ({}, "found: none"),
        ({"a": PICTURE, "b": PICTURE}, r"found: a \(image\), b \(image\)"),
        ({"a": PICTURE, "b": TEXT}, r"found: a \(image\), b \(text\)"),
        ({"x": {**TEXT, "tokenizer": None}}, r"inputs\.x\.tokenizer: ids need one"),
        ({"x": {**TEXT, "tokenizer": "gone.json"}}, "no such file"),
        ({"x": {**TEXT, "tokenizer": "../tokenizer.json"}}, "outside of the model"),
        ({"x": {**TEXT, "tokenizer": "/etc/passwd"}}, "outside of the model"),
        ({"x": {**TEXT, "max_length": 2}}, "leaves no room beside 2 special tokens"),
        ({"x": {**TEXT, "max_length": 3, "pair": True}}, "leaves no room beside 3 special tokens"),
        ({"x": {**TEXT, "tensors": {"m": "mask"}}}, "found mask"),
        ({"x": {**TEXT, "tensors": {"i": "ids", "s": "string"}}}, "found ids, string"),
        ({"x": {**TEXT, "tensors": {}}}, "found none"),
        ({"x": {**STRING, "pair": True}}, "takes no pairs"),
        ({"x": PICTURE, "c": {"kind": "constant", "value": "a"}}, r"inputs\.c\.value: no float32"),
    ],
)
def test_what_does_not_go_together_is_a_model_error(inputs, seen, folder):
    with pytest.raises(ModelError, match=seen):
        preprocessor_for(manifest(**inputs), folder)


def test_a_broken_tokenizer_is_a_model_error(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"tokenizer\.json: no tokenizer"):
        preprocessor_for(manifest(x=TEXT), tmp_path)


def test_a_tokenizer_that_pads_left_is_followed(folder, tmp_path):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding(direction="left", pad_id=2)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    spec = {**TEXT, "tensors": {"ids": "ids", "mask": "mask"}}
    model = preprocessor_for(manifest("text-classification", x=spec), tmp_path)
    batch = model.collate([part for (part,) in model.prepare([Text("a b"), Text("c")])])
    assert batch["ids"][1].tolist() == [2, 0, 6, 1]
    assert batch["mask"][1].tolist() == [0, 1, 1, 1]

"""Weights exported to ONNX: what is written answers as they do, or it is not written."""

import json
from pathlib import Path

import numpy as np
import pytest

from streamer.config import Settings
from streamer.config.settings import ModelSettings
from streamer.errors import ConfigError, ModelError
from streamer.graphs.exporter import export
from streamer.graphs.module import Module
from streamer.graphs.samples import Shapes
from streamer.models import load_version
from streamer.models.graph import Graph, Tensor, read_graph
from streamer.operate.exporting import export_model
from streamer.pipeline import Predictor
from streamer.preprocess import preprocessor_for
from streamer.records import Text

pytestmark = pytest.mark.torch

WORDS = ("?", "where", "is", "my", "card", "and", "what", "it", "worth")
PIXELS = Graph(
    (Tensor("pixels", "float32", (None, 3, None, None)),),
    (Tensor("logits", "float32", (None, 3)),),
    {},
    (),
    (),
)


@pytest.fixture
def torch():
    import torch

    torch.manual_seed(0)
    return torch


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Settings(models=ModelSettings(dir=tmp_path))


def bert(folder: Path) -> Path:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertForSequenceClassification

    words = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(WordLevel(words, unk_token="?"))  # noqa: S106 - a word
    tokenizer.pre_tokenizer = Whitespace()
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=37,
        num_labels=3,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def timm(folder: Path) -> Path:
    import timm
    from safetensors.torch import save_file

    network = timm.create_model("resnet10t", num_classes=4).eval()
    folder.mkdir()
    save_file(network.state_dict(), folder / "model.safetensors")
    given = network.pretrained_cfg
    config = {
        "architecture": "resnet10t",
        "num_classes": 4,
        "pretrained_cfg": {
            key: given[key] for key in ("input_size", "interpolation", "crop_pct", "mean", "std")
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_classifier_of_texts_answers_the_same_from_its_export(tmp_path, settings, torch):
    weights = bert(tmp_path / "bert")
    assert export_model(str(weights), Path("onnx-bert"), None, settings) == 0
    version = load_version(str(tmp_path / "onnx-bert"), beside=tmp_path, models_dir=tmp_path)
    assert version.file.name == "model.onnx"
    assert read_graph(version.file).inputs[0].shape == (None, None)
    lineage = version.manifest.lineage.model_dump()
    assert lineage["exporter"].startswith("torch.onnx.export dynamo=")
    assert {told.partition(",")[0] for told in lineage["compared"]} == {
        "batch 1",
        "batch 3",
        "batch 8",
    }
    assert len(lineage["compared"]) == 6
    texts = [Text("a"), Text("where is my card and what is it worth"), Text("card")]
    answers = []
    for uri in (weights, tmp_path / "onnx-bert"):
        predictor = Predictor.open(str(uri), settings)
        answers.append(predictor.predict(texts))
        predictor.close()
    scores = [[[entry["score"] for entry in row] for row in found] for found in answers]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-5)
    with pytest.raises(ConfigError, match="is there already"):
        export_model(str(weights), Path("onnx-bert"), None, settings)


def test_weights_that_are_kept_can_be_learnt_on(tmp_path, settings, torch):
    from streamer.retraining.config import Strategy
    from streamer.retraining.learner import Learner

    weights = bert(tmp_path / "bert")
    assert export_model(str(weights), Path("onnx"), None, settings, trainable=True) == 0
    version = load_version(str(tmp_path / "onnx"), beside=tmp_path, models_dir=tmp_path)
    assert "trainable/model.safetensors" in version.manifest.files
    assert version.file.name == "model.onnx"
    told = Learner(Strategy(kind="finetune"), 1).check(version)
    assert told.startswith("BertForSequenceClassification of trainable/, all layers")


def test_weights_that_are_kept_answer_as_the_file_beside_them(tmp_path, settings, torch):
    from streamer.retraining.runner import Runner
    from streamer.retraining.tuning.networks import load_network

    weights = bert(tmp_path / "bert")
    assert export_model(str(weights), Path("onnx"), None, settings, trainable=True) == 0
    version = load_version(str(tmp_path / "onnx"), beside=tmp_path, models_dir=tmp_path)
    labels = list(version.manifest.id2label.values())
    network = load_network(version, labels, len(labels), fresh=False)
    network.module.eval()
    texts = [Text("a"), Text("where is my card and what is it worth"), Text("card and what")]
    preprocessor = preprocessor_for(version.manifest, version.folder)
    inputs = [one for parts in preprocessor.prepare(texts) for one in parts]
    feeds = {name: torch.from_numpy(one) for name, one in preprocessor.collate(inputs).items()}
    with torch.no_grad():
        learnt = network(feeds)["logits"].numpy()
    with Runner(version, threads=1) as runner:
        served = runner.run(texts, ["logits"])["logits"]
    np.testing.assert_allclose(learnt, served, atol=1e-5)
    assert np.ptp(served, axis=0).max() > 1e-3  # texts are told apart at all


def test_a_classifier_of_timm_is_exported_with_its_preparation(tmp_path, settings, torch):
    assert export_model(str(timm(tmp_path / "timm")), Path("onnx"), None, settings) == 0
    version = load_version(str(tmp_path / "onnx"), beside=tmp_path, models_dir=tmp_path)
    assert version.manifest.inputs["pixel_values"].resample == "pillow-bicubic"
    assert version.manifest.lineage.model_dump()["library"].startswith("timm ")
    assert not (tmp_path / "onnx" / "model.safetensors").exists()


def network(torch, forward):
    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.head = torch.nn.Linear(3, 3)
            self.drop = torch.nn.Dropout(0.5)

        def forward(self, pixels):
            return forward(self, pixels)

    return Network().eval()


def test_where_the_first_exporter_fails_the_other_one_is_taken(tmp_path, torch):
    def forward(self, pixels):
        if bool((pixels > -1e9).all()):  # torch.export takes no branch that hangs on numbers
            return self.head(pixels.mean(dim=(2, 3)))
        return self.head(pixels.amax(dim=(2, 3)))

    module = Module(network(torch, forward), PIXELS, "made here")
    done = export(module, Shapes((3, 32, 32)), tmp_path / "model.onnx")
    assert done.exporter == "torch.onnx.export dynamo=False"
    assert done.difference < 1e-6


def test_a_batch_that_was_frozen_is_seen_and_nothing_is_written(tmp_path, torch):
    def forward(self, pixels):
        return self.head(pixels.mean(dim=(2, 3))) + torch.zeros(int(pixels.shape[0]), 3)

    def frozen(self, pixels):
        return forward(self, pixels).view(2, 3) if len(pixels) == 2 else forward(self, pixels)

    module = Module(network(torch, frozen), PIXELS, "made here")
    with pytest.raises(ModelError, match="cannot be exported") as caught:
        export(module, Shapes((3, 32, 32)), tmp_path / "model.onnx")
    assert "dynamo=True" in str(caught.value)
    assert "dynamo=False" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_network_left_in_training_mode_is_not_exported(tmp_path, torch):
    def forward(self, pixels):
        return self.head(self.drop(pixels.mean(dim=(2, 3))))

    module = Module(network(torch, forward).train(), PIXELS, "made here")
    with pytest.raises(ModelError, match=r"'logits' is .* off, more than 0.0001"):
        export(module, Shapes((3, 32, 32)), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []

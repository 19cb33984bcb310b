"""Real TorchScript files on real data: what streamer's rooms say, against what was noted."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from parity.real_models import RealModel, check_classifier, lines, opened

from streamer.pipeline.probe import probed
from streamer.records import Sample, Text
from streamer.testing import TopologyTest

pytestmark = pytest.mark.torch


@pytest.fixture
def model(assets: Path, tmp_path: Path) -> Callable[[str], RealModel]:
    return lambda name: opened(name, assets, tmp_path)


def test_a_traced_classifier_says_what_was_noted(model, assets):
    built = model("mobilenet_v1_025_128_torchscript")
    assert built.session.provider == "Torch"
    check_classifier(built, assets)


@pytest.mark.parametrize("batch", [None, 1])
def test_a_text_network_says_what_was_noted(model, batch):
    built = model("clinc150_textcnn_torchscript")
    examples = built.expected["examples"]
    answers = built.answers([Text(example["text"]) for example in examples], batch)
    for example, answer in zip(examples, answers, strict=True):
        assert answer[0]["label"] == example["pred"]
        assert answer[0]["score"] == pytest.approx(example["score"], abs=1e-4)


def test_a_text_network_is_as_good_as_was_noted(model, assets):
    built = model("clinc150_textcnn_torchscript")
    rows = [json.loads(line) for line in lines(assets / "data/text/clinc150_test_1500.jsonl")]
    texts: list[Sample] = [Text(row["text"]) for row in rows]
    right = [
        answer[0]["label"] == row["label"]
        for answer, row in zip(built.answers(texts), rows, strict=True)
    ]
    assert np.mean(right) == pytest.approx(built.expected["metrics"]["accuracy"], abs=5e-4)


def test_texts_without_a_mask_do_not_depend_on_their_batch(model):
    built = model("clinc150_textcnn_torchscript")
    probe = probed(built.version.manifest, built.session, built.preprocessor)
    assert probe.batch_invariant in ("exact", "1e-5")


@pytest.mark.parametrize("isolation", ["none", "process"])
def test_a_topology_answers_with_a_script_as_with_any_model(model, tmp_path, isolation):
    built = model("clinc150_textcnn_torchscript")
    built.session.close()
    topology = {
        "name": "intents",
        "source": {"topics": ["messages"], "format": "text"},
        "models": {"intents": {"uri": str(built.version.folder), "isolation": isolation}},
        "steps": {"predict": {"model": "intents"}},
        "sink": {"topic": "answers"},
    }
    file = tmp_path / "intents.yaml"
    file.write_text(yaml.safe_dump(topology), encoding="utf-8")
    examples = built.expected["examples"]
    with TopologyTest(file) as test:
        for example in examples:
            test.send("messages", example["text"])
        for example, prediction in zip(examples, test.predictions(), strict=True):
            assert prediction.output()[0]["label"] == example["pred"]
            assert prediction.output()[0]["score"] == pytest.approx(example["score"], abs=1e-4)

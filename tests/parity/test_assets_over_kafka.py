"""Real models over Kafka: a topology each, one daemon, and what was noted when they were run."""

import gzip
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from kafka.admin import KafkaAdminClient
from support.daemon import Daemon, Daemons
from support.topics import Got, Sent, Topics

MANIFESTS = Path(__file__).parent / "manifests"
CLASSIFIERS = (
    "mobilenet_v1_025_128_int8_nhwc_batch1",
    "mobilenet_v1_050_160_f32_nchw",
    "mobilenet_v2_224_int8_nhwc",
)
DETECTORS = ("ultraface_rfb320", "yolox_nano_coco_dyn")
FORMATS = {
    **dict.fromkeys((*CLASSIFIERS, *DETECTORS, "mnist_cntk"), "image"),
    "sms_spam_tfidf_string_onnx": "text",
    "banking77_minilm_l3_int8": "text",
    "minilm_l6_v2_int8": "json",
}
# What was noted is rounded: four decimals of scores, three of a detector's, one of a box.
NOTED_3 = 5e-4 + 1e-4
INT8_TEXT = 0.05
ODD = "odd-encodings"


@dataclass
class Served:
    """One daemon with every model, and what has been answered."""

    daemon: Daemon
    topics: Topics
    sources: dict[str, str]

    def answers(self, name: str, values: Sequence[bytes]) -> list[Any]:
        """Send values through a model's topology; give its outputs, in their order."""
        records = self.records(name, values)
        outputs = []
        for record in records:
            (said,) = record.json["predictions"].values()
            outputs.append(said["output"])
        return outputs

    def records(self, name: str, values: Sequence[bytes], topic: str = "answers") -> list[Got]:
        """Send values with their number as key; give what comes of them, in their order."""
        source = self.sources[name]
        keys = [f"{name} {number}".encode() for number in range(len(values))]
        self.topics.send(source, [Sent(v, k) for v, k in zip(values, keys, strict=True)])
        found = self.topics.read(f"{source}.{topic}", len(values), alive=self.daemon.alive)
        by_key = {record.key: record for record in found}
        return [by_key[key] for key in keys]


@pytest.fixture(scope="module")
def served(
    assets: Path, broker: str, kafka_admin: KafkaAdminClient, tmp_path_factory: Any
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("assets")
    topics, daemons = Topics(broker, kafka_admin), Daemons(broker, folder)
    sources, topologies = {}, []
    for name, form in {**FORMATS, ODD: "image"}.items():
        model = "mobilenet_v1_050_160_f32_nchw" if name == ODD else name
        version(model, assets, folder / "models")
        source = sources[name] = topics.make(2, prefix=name.replace("_", "-"))
        topics.own(f"{source}.answers", f"{source}.answers.deadletters")
        topologies.append(
            {
                "name": name,
                "source": {"topics": [source], "format": form, "group": source},
                "model": model,
                "sink": {"topic": f"{source}.answers"},
            }
        )
    try:
        with daemons.running(*topologies) as daemon:
            yield Served(daemon, topics, sources)
    finally:
        daemons.close()
        topics.close()


def version(name: str, assets: Path, models: Path) -> None:
    """Put a model's files beside a manifest."""
    (source,) = assets.glob(f"*/{name}")
    folder = models / name
    folder.mkdir(parents=True, exist_ok=True)
    manifest = yaml.safe_load((MANIFESTS / f"{name}.yaml").read_text())
    manifest["files"] = {}
    for file in ("model.onnx", "tokenizer.json"):
        if (source / file).is_file():
            shutil.copyfile(source / file, folder / file)
            digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
            manifest["files"][file] = f"sha256:{digest}"
    labels = labels_of(name, source, assets)
    if labels:
        manifest["id2label"] = labels
    (folder / "model.yaml").write_text(yaml.safe_dump(manifest))


def labels_of(name: str, source: Path, assets: Path) -> list[str]:
    if name in CLASSIFIERS:
        return lines(assets / "image-classification" / "imagenet_labels_1001.txt")
    if name == "yolox_nano_coco_dyn":
        return lines(assets / "object-detection" / "coco80_labels.txt")
    if name == "banking77_minilm_l3_int8":
        labels: list[str] = json.loads((source / "config.json").read_text())["id2label"]
        return labels
    return []


def lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


def examples(assets: Path, name: str) -> list[dict[str, Any]]:
    (folder,) = assets.glob(f"*/{name}")
    found: list[dict[str, Any]] = json.loads((folder / "expected.json").read_text())["examples"]
    return found


def test_every_onnx_model_of_the_four_tasks_is_served(assets):
    tasks = ("image-classification", "object-detection", "text-classification")
    folders = [*tasks, "sentence-similarity"]
    there = {file.parent.name for task in folders for file in assets.glob(f"{task}/*/model.onnx")}
    assert there == set(FORMATS)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_answer_what_was_noted(name, served, assets):
    noted = examples(assets, name)
    answers = served.answers(name, [(assets / one["file"]).read_bytes() for one in noted])
    for answer, one in zip(answers, noted, strict=True):
        assert [entry["label"] for entry in answer] == [label for _, label, _ in one["top5"]]
        scores = [score for _, _, score in one["top5"]]
        assert [entry["score"] for entry in answer] == pytest.approx(scores, abs=1e-4)


@pytest.mark.parametrize("name", DETECTORS)
def test_detectors_answer_what_was_noted(name, served, assets):
    noted = examples(assets, name)
    answers = served.answers(name, [(assets / one["file"]).read_bytes() for one in noted])
    for answer, one in zip(answers, noted, strict=True):
        assert [entry["label"] for entry in answer] == [other["label"] for other in one["objects"]]
        for entry, other in zip(answer, one["objects"], strict=True):
            assert entry["score"] == pytest.approx(other["score"], abs=NOTED_3)
            corners = [entry["box"][side] for side in ("xmin", "ymin", "xmax", "ymax")]
            assert corners == pytest.approx(other["box_xyxy"], abs=1)


def test_digits_are_read_as_noted(served, assets):
    (folder,) = assets.glob("*/mnist_cntk")
    with gzip.open(assets / "data" / "mnist" / "t10k-images-idx3-ubyte.gz") as stream:
        pixels = np.frombuffer(stream.read(16 + 20 * 784), np.uint8, offset=16)
    digits = [cv2.imencode(".png", digit)[1].tobytes() for digit in pixels.reshape(-1, 28, 28)]
    said = [int(answer[0]["label"]) for answer in served.answers("mnist_cntk", digits)]
    assert said == json.loads((folder / "expected.json").read_text())["first20"]


def test_spam_is_told_as_noted(served, assets):
    noted = examples(assets, "sms_spam_tfidf_string_onnx")
    texts = [one["text"].encode() for one in noted]
    answers = served.answers("sms_spam_tfidf_string_onnx", texts)
    assert [answer[0]["label"] for answer in answers] == [one["pred"] for one in noted]


def test_intents_are_told_as_noted(served, assets):
    noted = examples(assets, "banking77_minilm_l3_int8")
    answers = served.answers("banking77_minilm_l3_int8", [one["text"].encode() for one in noted])
    assert [answer[0]["label"] for answer in answers] == [one["pred"] for one in noted]
    scores = [one["score"] for one in noted]
    assert [answer[0]["score"] for answer in answers] == pytest.approx(scores, abs=INT8_TEXT)


def test_sentences_are_compared_as_noted(served, assets):
    noted = examples(assets, "minilm_l6_v2_int8")
    pairs = [{"sentence1": one["text1"], "sentence2": one["text2"]} for one in noted]
    answers = served.answers("minilm_l6_v2_int8", [json.dumps(pair).encode() for pair in pairs])
    cosines = [one["cosine"] for one in noted]
    assert [answer["score"] for answer in answers] == pytest.approx(cosines, abs=INT8_TEXT)


LETTERS = {
    "truncated.jpg": "truncated-image",
    "header_only.jpg": "truncated-image",
    "empty.jpg": "empty-value",
    "not_an_image.jpg": "not-an-image",
}


def test_odd_encodings_are_answered_or_told_apart(served, assets):
    folder = assets / "data" / "images" / "odd_encodings"
    files = {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
    assert len(files) == 20
    bad = {name: value for name, value in files.items() if name in LETTERS}
    good = {name: value for name, value in files.items() if name not in LETTERS}
    letters = served.records(ODD, list(bad.values()), "answers.deadletters")
    for (name, value), letter in zip(bad.items(), letters, strict=True):
        assert (letter.error("stage"), letter.error("reason")) == ("decode", LETTERS[name])
        assert letter.value == value
    outputs = served.answers(ODD, list(good.values()))
    first = {name: output[0] for name, output in zip(good, outputs, strict=True)}
    same = alike(first, lambda name: name.startswith(("rgb", "progressive", "png_named", "cmyk")))
    assert same == {first["rgb_baseline.jpg"]["label"]}, first


def alike(first: dict[str, dict[str, Any]], which: Callable[[str], bool]) -> set[str]:
    return {entry["label"] for name, entry in first.items() if which(name)}

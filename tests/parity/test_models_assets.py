"""Real models on real data: what streamer's rooms say, against what was noted when they were run.

The figures noted are rounded (four decimals for classifiers, three for detectors), and dynamically
quantised text models give other figures with other batches and processors; tolerances say so.
"""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from parity.real_models import RealModel, check_classifier, lines, opened, picture

from streamer.infer import check_fit, open_session
from streamer.models import load_version
from streamer.pipeline.probe import probed
from streamer.postprocess import interpreter_for
from streamer.preprocess import preprocessor_for
from streamer.records import Image, Pair, Sample, Text

CLASSIFIERS = (
    "mobilenet_v1_025_128_int8_nhwc_batch1",
    "mobilenet_v1_050_160_f32_nchw",
    "mobilenet_v2_224_int8_nhwc",
)
DETECTORS = ("ultraface_rfb320", "yolox_nano_coco_dyn")
ROUNDED_3 = 5e-4 + 1e-4
INT8_TEXT = 0.05


@pytest.fixture
def model(assets: Path, tmp_path: Path) -> Callable[[str], RealModel]:
    """Make a version directory of a model and open it."""
    return lambda name: opened(name, assets, tmp_path)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_say_what_was_noted(name, model, assets):
    built = model(name)
    assert built.session.max_batch == (1 if name.endswith("batch1") else None)
    check_classifier(built, assets)


@pytest.mark.parametrize("name", DETECTORS)
def test_detectors_find_what_was_noted(name, model, assets):
    built = model(name)
    examples = built.expected["examples"]
    pictures: list[Sample] = [picture(assets / example["file"]) for example in examples]
    for example, answer in zip(examples, built.answers(pictures), strict=True):
        noted = example["objects"]
        assert [entry["label"] for entry in answer] == [entry["label"] for entry in noted]
        for entry, other, exact in zip(answer, noted, answer.boxes.tolist(), strict=True):
            assert entry["score"] == pytest.approx(other["score"], abs=ROUNDED_3)
            assert list(entry["box"].values()) == pytest.approx(other["box_xyxy"], abs=1)
            assert exact == pytest.approx(other["box_xyxy"], abs=0.1)


@pytest.mark.parametrize("name", ["mobilenet_v1_050_160_f32_nchw", *DETECTORS])
def test_pictures_that_enter_as_bytes_are_answered_alike(name, assets, tmp_path):
    plain = opened(name, assets, tmp_path, fuse=False)
    fused = opened(name, assets, tmp_path, fuse=True)
    files = [assets / example["file"] for example in plain.expected["examples"]]
    for file in files[:8]:
        [part], [bytes_] = (m.preprocessor.prepare([picture(file)])[0] for m in (plain, fused))
        wanted = plain.session.run(plain.preprocessor.collate([part]))
        fed = fused.preprocessor.collate([bytes_])
        assert {array.dtype for array in fed.values()} == {np.dtype(np.uint8)}
        for output, values in fused.session.run(fed).items():
            scale = max(1.0, float(np.abs(wanted[output]).max()))
            np.testing.assert_allclose(values, wanted[output], rtol=0, atol=1e-4 * scale)
    if name.startswith("mobilenet"):
        check_classifier(fused, assets)


def test_a_picture_alone_and_in_a_batch_is_answered_alike(model, assets):
    built = model("yolox_nano_coco_dyn")
    examples = built.expected["examples"]
    pictures: list[Sample] = [picture(assets / example["file"]) for example in examples]
    assert built.answers(pictures, 1) == built.answers(pictures)


def test_wrong_channels_would_be_noticed(model, assets):
    # the figures above only mean something if a mistake shows in them
    built = model("mobilenet_v1_050_160_f32_nchw")
    examples = built.expected["examples"]
    swapped: list[Sample] = [
        Image(np.ascontiguousarray(picture(assets / example["file"]).pixels[:, :, ::-1]))
        for example in examples
    ]
    off = [
        abs(answer[0]["score"] - example["top5"][0][2])
        for example, answer in zip(examples, built.answers(swapped), strict=True)
    ]
    assert max(off) > 0.1


def test_digits_are_read(model, assets):
    built = model("mnist_cntk")
    assert built.session.max_batch == 1
    with gzip.open(assets / "data" / "mnist" / "t10k-images-idx3-ubyte.gz") as stream:
        pixels = np.frombuffer(stream.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(assets / "data" / "mnist" / "t10k-labels-idx1-ubyte.gz") as stream:
        truth = np.frombuffer(stream.read(), np.uint8, offset=8)
    count = 2000
    digits: list[Sample] = [Image(np.repeat(digit[:, :, None], 3, 2)) for digit in pixels[:count]]
    said = [int(answer[0]["label"]) for answer in built.answers(digits)]
    assert said[:20] == built.expected["first20"]
    assert np.mean(np.array(said) == truth[:count]) == pytest.approx(0.985, abs=0.01)


def test_spam_is_told_from_strings(model, assets):
    built = model("sms_spam_tfidf_string_onnx")
    examples = built.expected["examples"]
    texts: list[Sample] = [Text(example["text"]) for example in examples]
    said = [answer[0]["label"] for answer in built.answers(texts)]
    assert said == [example["pred"] for example in examples]
    rows = [json.loads(line) for line in lines(assets / "data" / "text" / "sms_spam_test.jsonl")]
    answers = built.answers([Text(row["text"]) for row in rows], 64)
    right = [answer[0]["label"] == row["label"] for answer, row in zip(answers, rows, strict=True)]
    assert np.mean(right) == pytest.approx(built.expected["metrics"]["accuracy"], abs=0.002)


@pytest.mark.parametrize("batch", [None, 1])
def test_intents_are_told(model, batch):
    built = model("banking77_minilm_l3_int8")
    examples = built.expected["examples"]
    answers = built.answers([Text(example["text"]) for example in examples], batch)
    for example, answer in zip(examples, answers, strict=True):
        assert len(answer) == 5
        assert answer[0]["label"] == example["pred"]
        assert answer[0]["score"] == pytest.approx(example["score"], abs=INT8_TEXT)


@pytest.mark.parametrize("batch", [None, 2])
def test_sentences_are_compared(model, batch):
    built = model("minilm_l6_v2_int8")
    examples = built.expected["examples"]
    pairs: list[Sample] = [Pair(example["text1"], example["text2"]) for example in examples]
    for example, answer in zip(examples, built.answers(pairs, batch), strict=True):
        assert answer["score"] == pytest.approx(example["cosine"], abs=INT8_TEXT)


def test_a_hugging_face_folder_needs_no_manifest(assets):
    folder = assets / "text-classification" / "banking77_minilm_l3_int8"
    version = load_version(
        str(folder), beside=assets, models_dir=assets, task="text-classification"
    )
    session = open_session(version, device="cpu")
    check_fit(version, session)
    preprocessor = preprocessor_for(version.manifest, version.folder)
    (inputs,) = preprocessor.prepare([Text("My card has not arrived yet.")])
    outputs = session.run(preprocessor.collate(inputs))
    (answer,) = interpreter_for(version.manifest, "text-classification").interpret(outputs, inputs)
    assert answer[0]["label"] == "card_arrival"


@pytest.mark.parametrize(
    ("name", "invariant"),
    [
        ("mobilenet_v1_050_160_f32_nchw", ("exact", "1e-5")),
        ("mobilenet_v1_025_128_int8_nhwc_batch1", ("exact",)),
        ("minilm_l6_v2_int8", ("no",)),
        ("sms_spam_tfidf_string_onnx", ("exact", "1e-5")),
    ],
)
def test_whether_answers_depend_on_their_batch_is_found_out(model, name, invariant):
    built = model(name)
    probe = probed(built.version.manifest, built.session, built.preprocessor)
    assert probe.batch_invariant in invariant
    if invariant == ("no",):
        assert probe.alike is not None
        assert probe.alike > 1e-3  # scales are the whole batch's, padded or not

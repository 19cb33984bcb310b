import hashlib
import time
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
import yaml

import streamer.demo
from streamer.demo.scenes import KINDS, LABELS, crops, label_of, scene
from streamer.demo.scenes.backgrounds import FAMILIES
from streamer.demo.scenes.camera import LIGHTS
from streamer.demo.scenes.distractors import DRAWINGS
from streamer.demo.training.detections import average_precision, decoded, mean_average_precision
from streamer.models.manifest import ImageInput, Manifest

MODELS = Path(streamer.demo.__file__).parent / "models"


def scenes(world, count, seed=7):
    return [scene(np.random.default_rng([seed, index]), world) for index in range(count)]


@pytest.mark.parametrize("world", ["train", "held-out"])
def test_the_same_seed_gives_the_same_scene_and_another_seed_another(world):
    (one, signs), (again, same) = (scene(np.random.default_rng(3), world) for _ in range(2))
    assert np.array_equal(one, again)
    assert signs == same
    assert not np.array_equal(one, scene(np.random.default_rng(4), world)[0])


@pytest.mark.parametrize("size", [(320, 256), (640, 480)])
@pytest.mark.parametrize("world", ["train", "held-out"])
def test_signs_lie_inside_the_picture_apart_and_are_16_pixels_or_more(world, size):
    found = 0
    for index in range(25):
        image, signs = scene(np.random.default_rng(index), world, size)
        assert image.shape == (size[1], size[0], 3)
        assert image.dtype == np.uint8
        for sign in signs:
            assert 0 <= sign.xmin < sign.xmax <= size[0]
            assert 0 <= sign.ymin < sign.ymax <= size[1]
            assert min(sign.xmax - sign.xmin, sign.ymax - sign.ymin) >= 16
            assert sign.label == label_of(sign.kind)
        for one in signs:
            others = [sign for sign in signs if sign is not one]
            assert all(
                one.xmax < other.xmin
                or other.xmax < one.xmin
                or one.ymax < other.ymin
                or other.ymax < one.ymin
                for other in others
            )
        found += len(signs)
    assert found > 25


def test_a_parking_sign_is_blue_where_its_box_is():
    image, sign = next(
        (image, signs[0])
        for image, signs in scenes("train", 60)
        if len(signs) == 1 and signs[0].xmax - signs[0].xmin > 60 and signs[0].label == "parking"
    )
    inside = image[sign.ymin : sign.ymax, sign.xmin : sign.xmax].reshape(-1, 3).mean(0)
    assert inside[0] > inside[2] + 20  # blue


def test_worlds_share_no_background_no_distractor_and_no_light():
    assert not set(FAMILIES["train"]) & set(FAMILIES["held-out"])
    assert not set(DRAWINGS["train"]) & set(DRAWINGS["held-out"])
    for known in LIGHTS["train"]:
        for new in LIGHTS["held-out"]:
            ranges = zip(known, new, strict=True)
            assert any(
                high_a <= low_b or high_b <= low_a for (low_a, high_a), (low_b, high_b) in ranges
            )
    assert not np.array_equal(scenes("train", 1)[0][0], scenes("held-out", 1)[0][0])


def test_every_kind_has_a_label_and_every_label_a_kind():
    assert {label_of(kind) for kind in KINDS} == set(LABELS)
    drawn = {sign.kind for _, signs in scenes("train", 80) for sign in signs}
    assert drawn == set(KINDS)


def session(name):
    folder = MODELS / name / "1"
    manifest = Manifest.model_validate(yaml.safe_load((folder / "model.yaml").read_text()))
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    assert manifest.files == {"model.onnx": f"sha256:{digest}"}
    began = time.perf_counter()
    loaded = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    assert time.perf_counter() - began < 1
    return loaded, manifest


def picture_input(manifest: Manifest) -> tuple[str, ImageInput]:
    ((name, what),) = manifest.inputs.items()
    assert isinstance(what, ImageInput)
    return name, what


def test_the_shipped_detector_finds_signs_in_held_out_scenes():
    loaded, manifest = session("signs")
    assert tuple(manifest.id2label.values()) == LABELS
    name, what = picture_input(manifest)
    (reading,) = manifest.outputs.values()
    found, wanted = [], []
    for image, signs in scenes("held-out", 40):
        padded = np.full((what.size.height, what.size.width, 3), what.pad_value, np.float32)
        padded[: image.shape[0], : image.shape[1]] = image
        (answer,) = loaded.run(None, {name: padded.transpose(2, 0, 1)[None]})
        found.append(decoded(answer[0], what.size.width, reading.strides))
        rows = [(*sign[1:5], LABELS.index(sign.label)) for sign in signs]
        wanted.append(np.array(rows, np.float32).reshape(-1, 5))
    assert mean_average_precision(found, wanted, len(LABELS)) > 0.75
    assert manifest.metrics["map50"] >= 0.85


def test_the_shipped_classifier_tells_the_kinds_of_held_out_crops():
    loaded, manifest = session("sign-kind")
    assert tuple(manifest.id2label.values()) == KINDS
    name, what = picture_input(manifest)
    right = []
    for index in range(60):
        for crop, kind in crops(np.random.default_rng([8, index]), "held-out"):
            small = cv2.resize(crop, (what.size.width, what.size.height))[..., ::-1]
            planes = (small * what.rescale_factor - what.image_mean) / what.image_std
            batch = planes.transpose(2, 0, 1)[None].astype(np.float32)
            (logits,) = loaded.run(None, {name: batch})
            right.append(KINDS[int(logits.argmax())] == kind)
    assert len(right) > 90
    assert np.mean(right) > 0.92
    assert manifest.metrics["accuracy"] >= 0.97


def test_average_precision_counts_misses_false_alarms_and_poor_boxes():
    signs = [np.array([[0, 0, 10, 10, 0], [50, 50, 90, 90, 0]], np.float32)]
    perfect = np.array([[0, 0, 10, 10, 0.9, 0], [50, 50, 90, 90, 0.8, 0]], np.float32)
    assert mean_average_precision([perfect], signs, 1) == 1
    assert mean_average_precision([perfect[:1]], signs, 1) == 0.5
    alarm = np.array([[200, 200, 220, 220, 0.95, 0]], np.float32)
    both = np.concatenate([perfect, alarm])
    assert mean_average_precision([both], signs, 1) == pytest.approx(2 / 3)
    poor = perfect + np.array([6, 0, 6, 0, 0, 0], np.float32)
    assert mean_average_precision([poor], signs, 1) == pytest.approx(0.25)
    assert mean_average_precision([perfect[:1]], signs, 1, (0, 32)) == 1
    assert np.isnan(average_precision([perfect], signs, 0, (100, 200)))

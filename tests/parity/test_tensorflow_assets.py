"""Real SavedModels and a frozen graph on real data, against what was noted of them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from parity.real_models import RealModel, check_classifier, opened, picture

from streamer.records import Image

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def model(assets: Path, tmp_path: Path) -> Callable[[str], RealModel]:
    return lambda name: opened(name, assets, tmp_path)


@pytest.mark.parametrize(
    "name", ["mobilenet_v1_025_128_tf_savedmodel", "mobilenet_v1_025_128_tf_frozen"]
)
def test_classifiers_say_what_was_noted(model, assets, name):
    built = model(name)
    assert built.session.provider == "TensorFlow"
    check_classifier(built, assets)


@pytest.mark.parametrize("batch", [None, 1])
def test_faces_are_read_from_grey_pictures(model, assets, batch):
    built = model("emotion_mini_xception")
    examples = built.expected["examples"]
    faces = []
    for example in examples:
        pixels = picture(assets / "data/images/faces_emotion" / example["file"]).pixels
        left, top, right, bottom = example["face_box"]
        faces.append(Image(pixels[top:bottom, left:right]))
    for example, answer in zip(examples, built.answers(faces, batch), strict=True):
        assert answer[0]["label"] == example["pred"]
        assert answer[0]["score"] == pytest.approx(example["score"], abs=1e-3)

"""Models tried on files: answers on the spot, pictures with boxes drawn, no Kafka."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import tiny

import streamer.demo
from streamer.config import Settings
from streamer.config.settings import ModelSettings
from streamer.demo.scenes import scene
from streamer.operate.trial import Trial, try_files

DETECTOR = Path(streamer.demo.__file__).parent / "models" / "signs"


@pytest.fixture
def settings(tmp_path):
    return Settings(models=ModelSettings(dir=tmp_path))


@pytest.fixture
def photo(tmp_path):
    pixels, _ = scene(np.random.default_rng(1), "train", (320, 256))
    file = tmp_path / "street.png"
    assert cv2.imwrite(str(file), pixels)
    return file


def test_a_picture_is_answered_and_its_boxes_are_drawn(photo, settings, tmp_path, capsys):
    trial = Trial(str(DETECTOR), (photo,), as_json=True, draw=tmp_path / "drawn")
    assert try_files(trial, settings) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["file"].endswith("street.png")
    assert told["output"]
    drawn = cv2.imread(str(tmp_path / "drawn" / "street.jpg")).astype(int)
    original = cv2.imread(str(photo)).astype(int)
    assert drawn.shape == original.shape
    difference = np.abs(drawn - original).max(axis=2)
    edge, changed = difference > 25, difference > 60  # what JPEG itself changes is less
    for found in told["output"]:
        box = found["box"]
        left, right = max(box["xmin"], 0), min(box["xmax"], 319)
        below = min(box["ymax"], 255)
        # the lower edge of the box is a line of its own colour
        assert edge[max(below - 2, 0) : below + 1, left : right + 1].any(axis=0).mean() > 0.8
    everywhere = np.zeros_like(changed)
    for found in told["output"]:
        box = found["box"]
        everywhere[max(box["ymin"] - 20, 0) : box["ymax"] + 20, :] = True
    assert not changed[~everywhere].any()


def test_texts_are_answered_line_by_line(settings, tmp_path, capsys):
    folder = tiny.text_model(tmp_path)
    (tmp_path / "lines.txt").write_text("good day\nbad day\n")
    assert try_files(Trial(str(folder), (tmp_path / "lines.txt",), top_k=1), settings) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all("lines.txt" in line for line in lines)


def test_what_cannot_be_answered_is_said_and_the_rest_is(photo, settings, tmp_path, capsys):
    (tmp_path / "broken.png").write_bytes(photo.read_bytes()[:100])
    files = (tmp_path / "broken.png", photo)
    assert try_files(Trial(str(DETECTOR), files, as_json=True, draw=tmp_path / "d"), settings) == 1
    broken, whole = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert broken["error"]["reason"]
    assert whole["output"]
    assert [file.name for file in (tmp_path / "d").iterdir()] == ["street.jpg"]

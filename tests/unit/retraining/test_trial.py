"""What a challenger must meet beside being better, and the page that tells of it."""

import json

import cv2
import numpy as np
import pytest
from support import heads, lessons

from streamer.errors import ConfigError
from streamer.records import Image
from streamer.retraining.challenger import Challenger
from streamer.retraining.config import Gate
from streamer.retraining.gate import judge
from streamer.retraining.grading import graded
from streamer.retraining.report import html_report, json_report, written
from streamer.retraining.runner import OutOfTimeError
from streamer.retraining.runs import Run
from streamer.retraining.trial import Answers, Trial, tried

MUST = {"must_pass": "must.jsonl"}


@pytest.fixture
def version(tmp_path):
    return heads.picture_model(tmp_path / "shapes", lessons.SHAPES)


@pytest.fixture
def part():
    return lessons.part(lessons.pictures(60, lessons.SHAPES, 0), "test")


def problems(version, part, tmp_path, **gate):
    given = Gate(**{"max_latency_ratio": 1e9, "max_size_ratio": 10, **gate})
    found = tried(version, version, part, given, threads=1, beside=tmp_path / "retrain.yaml")
    return found.problems


def test_a_version_that_is_much_slower_or_larger_is_refused(version, part, tmp_path):
    assert problems(version, part, tmp_path) == []
    [slow] = problems(version, part, tmp_path, max_latency_ratio=1e-9)
    assert "times as long" in slow
    [large] = problems(version, part, tmp_path, max_size_ratio=0.5)
    assert "1.00 times as large (allowed: 0.5)" in large


def test_what_must_pass_and_does_not_is_named_by_its_line(version, part, tmp_path):
    cv2.imwrite(str(tmp_path / "one.png"), part.samples[0].pixels)
    own = tried(version, version, part, Gate(max_latency_ratio=1e9), threads=1, beside=tmp_path)
    right = own.challenger.given[0]
    wrong = next(shape for shape in lessons.SHAPES if shape != right)
    lines = [{"file": "one.png", "label": right}, {"file": "one.png", "label": wrong}]
    file = tmp_path / "must.jsonl"
    file.write_text("\n".join(json.dumps(one) for one in lines) + "\n")
    found = problems(version, part, tmp_path, **MUST)
    assert found == [f"must pass: line 2 is '{wrong}', answered '{right}'"]
    file.write_text('{"file": "gone.png", "label": "disc"}\n')
    with pytest.raises(ConfigError, match=r"gate\.must_pass"):
        problems(version, part, tmp_path, **MUST)


def test_a_comparison_that_takes_too_long_is_ended_within(version, part, tmp_path):
    looks = []

    def check():
        looks.append(1)
        if len(looks) > 1:
            raise OutOfTimeError("not done in time")

    with pytest.raises(OutOfTimeError):
        tried(version, version, part, Gate(), threads=1, beside=tmp_path, check=check)


def page(trial, verdict, tmp_path, version):
    told = [{"epoch": at, "train": 1 / at, "validation": 1.2 / at} for at in (1, 2, 3)]
    challenger = Challenger(version, 1e-6, tuple(told), "a new linear head")
    run = Run(
        number=3,
        stage="looked",
        why="asked for",
        champion="1",
        set_version=1,
        digest="d",
        taken=9,
        trained=(),
        began="then",
    )
    told_of = lessons.lesson(
        lessons.pictures(8, lessons.SHAPES, 1), [], [], known=lessons.SHAPES[:2]
    )
    report = json_report(run, told_of, verdict, challenger, {"model": "shapes <b>"})
    return json.loads(written(report)), html_report(report, trial)


def test_the_report_shows_curves_matrix_classes_and_mistakes_with_their_pictures(
    version, part, tmp_path
):
    gate = Gate(max_latency_ratio=1e9)
    trial = tried(version, version, part, gate, threads=1, beside=tmp_path)
    verdict = judge(trial.compared, gate, 1)
    told, html = page(trial, verdict, tmp_path, version)
    assert told["verdict"] == verdict.decision
    assert told["set"]["new_labels"] == ["cross", "square"]
    assert told["gate"]["classes"]["disc"]["examples"] == 15
    wrong = len(trial.mistakes())
    assert html.count("data:image/jpeg;base64,") == min(wrong, 24)
    assert "<polyline" in html
    assert "Who was taken for whom" in html
    assert verdict.reasons[0].replace("'", "&#x27;") in html
    assert "shapes &lt;b&gt;" in html
    assert 'src="http' not in html
    assert "<script" not in html


def test_the_report_of_a_detector_draws_what_is_there_and_what_was_answered(version, tmp_path):
    box = {"xmin": 4, "ymin": 4, "xmax": 20, "ymax": 20}
    right = [[{"label": "disc", "box": box}]] * 60
    missed = [[{"label": "disc", "score": 0.9, "box": {**box, "xmin": 15, "xmax": 40}}]] * 60
    found = [[{"label": "disc", "score": 0.9, "box": box}]] * 60
    pictures = [Image(np.zeros((48, 48, 3), np.uint8))] * 60
    part = lessons.part(list(zip(pictures, right, strict=True)), "test")
    clusters = [str(at) for at in range(60)]
    marks = graded("boxes", right, (found, missed), clusters, frozenset({"disc"}))
    given = [Answers(one, [1.0] * 60, np.zeros(60)) for one in (found, missed)]
    trial = Trial(marks, part, "boxes", *given, [], {})
    verdict = judge(marks, Gate(), 1)
    assert verdict.decision == "reject"
    assert "'disc' falls from 100.0% to 0.0%" in verdict.reasons[0]
    _, html = page(trial, verdict, tmp_path, version)
    assert html.count("data:image/jpeg;base64,") == 24
    assert "Green: what is there" in html
    assert "map50" in html

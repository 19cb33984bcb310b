"""`streamer retrain`: what it does before anything is loaded, and what it lists."""

import json
import os

import pytest
from typer.testing import CliRunner

from streamer.cli import retrain
from streamer.cli.app import app
from streamer.retraining.examples import Row
from streamer.retraining.forgetting import Forgetting
from streamer.retraining.place import Place
from streamer.retraining.runs import Runs

FILE = """\
model: registry:intents
topology: intents.yaml
labels: {topic: labels}
strategy: {kind: head}
"""
run = CliRunner().invoke


@pytest.fixture
def file(tmp_path):
    """A sidecar's file whose set has a run that made version 2 of an example withdrawn since."""
    path = tmp_path / "retrain.yaml"
    path.write_text(FILE)
    place = Place(str(tmp_path / "retraining" / "intents"))
    runs = Runs(place)
    made = runs.begin(
        why="test", champion="1", set_version=1, digest="d", taken=1, trained=("t/0/1/s", "other")
    )
    runs.keep(made, stage="done", verdict="promote", version="2")
    rows = [Row(name, withdrawn=True, sequence=2) for name in ("t/0/1/s", "t/0/2/s")]
    Forgetting(place, runs).note(rows)
    return path


def test_what_was_withdrawn_is_listed_with_the_versions_that_know_it(file):
    lines = run(app, ["retrain", str(file), "--withdrawals"]).output.splitlines()
    assert lines[0].endswith("t/0/1/s: learnt by 2")
    assert lines[1].endswith("t/0/2/s: learnt by no version")


def test_the_versions_that_learnt_from_an_example_are_listed(file):
    told = run(app, ["retrain", str(file), "--trained-on", "other"]).output
    assert told == "other: learnt by 2\n"


def test_linear_algebra_has_the_threads_of_the_budget(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", {})
    path = tmp_path / "retrain.yaml"
    path.write_text(f"{FILE}budget: {{threads: 3}}\n")
    retrain._limit_threads(path)
    assert {os.environ[name] for name in retrain._THREADS} == {"3"}
    path.write_text(FILE)
    retrain._limit_threads(path)  # what the environment says stands
    assert os.environ["OMP_NUM_THREADS"] == "3"


@pytest.mark.parametrize("text", ["", "budget: 3", "budget: {threads: many}", "{", "[]"])
def test_a_file_that_is_wrong_is_refused_by_whoever_reads_the_whole_of_it(
    tmp_path, monkeypatch, text
):
    monkeypatch.setattr(os, "environ", {})
    path = tmp_path / "retrain.yaml"
    path.write_text(text)
    retrain._limit_threads(path)


def test_the_schema_of_the_file_is_printed(tmp_path):
    found = json.loads(run(app, ["retrain", str(tmp_path / "none.yaml"), "--schema"]).output)
    assert "label_requests" in found["properties"]

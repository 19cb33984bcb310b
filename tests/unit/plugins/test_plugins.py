"""Plug-ins: the example of the documentation installed and run, and what may be wrong with one."""

import shutil
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper
from support import tiny

from streamer import plugins
from streamer.errors import ConfigError
from streamer.models import load_version
from streamer.tasks import task_named
from streamer.testing import TopologyTest

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "docs" / "examples" / "streamer-grades"
SAID = {"good": 3.0, "bad": -3.0}


def install(site, project, version="0.1.0"):
    """Put a package's files and its metadata where a wheel's would lie."""
    information = site / f"{project['name'].replace('-', '_')}-{version}.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {version}\n"
    )
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (information / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed packages that goes with the test."""
    folder = tmp_path / "site"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in set(sys.modules) - before:
        if name.startswith(("streamer_grades", "broken_")):
            del sys.modules[name]


@pytest.fixture
def grades(site):
    """The example package, installed."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    shutil.copytree(EXAMPLE / "streamer_grades", site / "streamer_grades")
    install(site, project)
    return site


def model(folder, **manifest):
    """A model of words: logits of "more than one star" and "more than two"."""
    weights = np.zeros((len(tiny.WORDS), 2), np.float32)
    for word, value in SAID.items():
        weights[tiny.WORDS.index(word)] = value + 1, value - 1
    tiny.text_model(folder, "stars", **{"id2label": ["1", "2", "3"], **manifest})
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["weights", "input_ids"], ["rows"]),
            helper.make_node("ReduceMean", ["rows"], ["above"], axes=[1], keepdims=0),
            helper.make_node("Softmax", ["above"], ["shares"]),
        ],
        "stars",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["N", "L"])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2])
            for name in ("above", "shares")
        ],
        [numpy_helper.from_array(weights, "weights")],
    )
    made = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])
    (folder / "stars" / "model.onnx").write_bytes(made.SerializeToString())


def answers(folder, task, texts):
    file = folder / "stars.yaml"
    topology = {
        "name": "stars",
        "source": {"topics": ["reviews"], "format": "text"},
        "model": "models/stars",
        "task": task,
        "sink": {"topic": "stars"},
    }
    file.write_text(yaml.safe_dump(topology))
    with TopologyTest(file) as test:
        for text in texts:
            test.send("reviews", text)
        found = [prediction.output() for prediction in test.predictions()]
        return found, [letter.message for letter in test.deadletters()]


def test_a_decoding_of_a_plug_in_answers_a_built_in_task(tmp_path, grades):
    model(
        tmp_path / "models",
        outputs={"above": {"decode": "cumulative", "options": {"temperature": 2.0}}},
    )
    (good, bad), _ = answers(tmp_path, "text-classification", ["good", "bad"])
    one, two = 1 / (1 + np.exp([-4 / 2, -2 / 2]))
    assert [entry["label"] for entry in good] == ["3", "2", "1"]
    assert [entry["score"] for entry in good] == pytest.approx([two, one - two, 1 - one])
    assert [entry["label"] for entry in bad] == ["1", "2", "3"]


def graded(folder):
    """The same model, of its two shares as grades."""
    model(folder, task="grading", id2label=["1", "2"], outputs={"shares": {"decode": "raw"}})


def test_a_task_of_a_plug_in_answers_in_its_own_shape(tmp_path, grades):
    graded(tmp_path / "models")
    (good,), _ = answers(tmp_path, "grading", ["good"])
    first = 1 / (1 + np.exp(-2))
    assert good["grade"] == pytest.approx(first + 2 * (1 - first))
    assert good["deviation"] == pytest.approx(np.sqrt(first * (1 - first)))
    assert set(task_named("grading").output_schema["properties"]) == set(good)


def test_a_decoding_nobody_brings_is_refused_with_those_there_are(tmp_path, site):
    model(tmp_path, outputs={"above": {"decode": "cumulative"}})
    told = r"outputs\.above\.decode: expected .*'logits'.*got 'cumulative'"
    with pytest.raises(ConfigError, match=told):
        load_version("stars", beside=tmp_path, models_dir=tmp_path)


def test_a_task_nobody_brings_is_refused_with_the_plug_ins_that_are_there(grades):
    with pytest.raises(ConfigError, match="did you mean 'grading'"):
        task_named("gradings")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import there_is_no_such_module", "cannot be imported: ModuleNotFoundError"),
        ("def outputs(options): return {}", "lacks the function decode"),
    ],
)
def test_a_plug_in_that_cannot_be_used_is_named_with_its_package(site, code, said):
    (site / "broken_decoder.py").write_text(code)
    project = {"name": "broken", "entry-points": {"streamer.decoders": {"mine": "broken_decoder"}}}
    install(site, project)
    with pytest.raises(ConfigError, match=said) as caught:
        plugins.plugged(plugins.DECODERS, "mine")
    assert "broken_decoder, of broken 0.1.0" in str(caught.value)


def test_two_packages_that_bring_the_same_name_are_named(site):
    for package in ("one", "two"):
        entries = {"streamer.tasks": {"mine": f"broken_{package}"}}
        install(site, {"name": f"plugin-{package}", "entry-points": entries})
    with pytest.raises(ConfigError, match="uninstall one of them"):
        plugins.plugged(plugins.TASKS, "mine")


def test_a_description_that_model_yaml_could_not_hold_is_refused_at_load(tmp_path, grades):
    package = grades / "streamer_grades" / "cumulative.py"
    package.write_text(package.read_text().replace('"probabilities"', '"probability"'))
    model(tmp_path / "models", outputs={"above": {"decode": "cumulative"}})
    with pytest.raises(ConfigError, match="describes outputs that model"):
        answers(tmp_path, "text-classification", ["good"])


def test_a_plug_in_that_gives_too_few_answers_makes_dead_letters_not_wrong_answers(
    tmp_path, grades
):
    package = grades / "streamer_grades" / "grading.py"
    package.write_text(package.read_text().replace("zip(means, ", "zip(means[1:], "))
    package.write_text(package.read_text().replace("strict=True", "strict=False"))
    graded(tmp_path / "models")
    found, dead = answers(tmp_path, "grading", ["good", "bad"])
    assert found == []
    assert dead == ["the plug-in of 'grading' gave 0 answers for 1 items"] * 2

"""Versions that change while records flow: no broker, the daemon's own line."""

import shutil
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import numpy as np
import onnx
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from support import tiny

from streamer.config import Settings
from streamer.config.settings import LineSettings, ModelSettings
from streamer.errors import ConfigError, ModelError
from streamer.testing import FakeKafka, TopologyTest

DELIVERIES = ["at-least-once", "exactly-once"]
TOPOLOGY = """
name: moods
delivery: {delivery}
source: {{topics: [messages], format: text}}
models: {{mood: {{uri: "registry:mood"}}, same: {{uri: "registry:mood", sessions: 2}}}}
steps:
  first: {{model: mood}}
  again: {{model: mood, top_k: 1}}
  third: {{model: same}}
sink: {{topic: moods, partition: source}}
wave: {{max_records: 7}}
"""


def add(models, number, **changed):
    """Add a version of the model."""
    folder = tiny.text_model(models / "mood", number)
    manifest = yaml.safe_load((folder / "model.yaml").read_text())
    manifest |= {"name": "mood", "version": number, **changed}
    (folder / "model.yaml").write_text(yaml.safe_dump(manifest))


def opened(folder, delivery="at-least-once", swap="beside", **given):
    file = folder / "moods.yaml"
    file.write_text(TOPOLOGY.format(delivery=delivery), encoding="utf-8")
    models = ModelSettings(dir=folder / "models", swap=swap)
    daemon = Settings(instance="test", line=LineSettings(decode_threads=1), models=models)
    return TopologyTest(file, settings=daemon, serving={"mood": "1"}, **given)


@pytest.fixture
def models(tmp_path):
    for number in ("1", "2", "3"):
        add(tmp_path / "models", number)
    return tmp_path / "models"


def good(feeds):
    return {"logits": np.tile(np.array([[4, 0]], np.float32), (len(feeds["input_ids"]), 1))}


FAKES = {"mood": good, "same": good}


def versions(prediction):
    return {prediction.version(step) for step in ("first", "again", "third")}


@pytest.mark.parametrize("swap", ["beside", "replace"])
@pytest.mark.parametrize("delivery", DELIVERIES)
def test_what_comes_after_a_promotion_is_answered_by_the_new_version(
    models, tmp_path, delivery, swap
):
    with opened(tmp_path, delivery, swap, sessions=FAKES) as test:
        for number in ("1", "2", "3"):
            test.serve("mood", number)
            test.send("messages", "good")
            assert versions(test.predictions()[-1]) == {number}
    assert [versions(one) for one in test.predictions()] == [{"1"}, {"2"}, {"3"}]


def _relabel(folder):
    manifest = yaml.safe_load((folder / "model.yaml").read_text())
    (folder / "model.yaml").write_text(yaml.safe_dump(manifest | {"id2label": ["bad", "good"]}))


def _not_finite(folder):
    model = onnx.load(folder / "model.onnx")
    [weights] = model.graph.initializer
    array = np.full_like(numpy_helper.to_array(weights), np.inf)
    weights.CopyFrom(numpy_helper.from_array(array, weights.name))
    onnx.save(model, folder / "model.onnx")


def _truncate(folder):
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(content[: len(content) // 2])


def _wrong_golden(folder):
    (folder / "golden").mkdir()
    line = '{"text": "good", "output": [{"label": "bad"}, {"label": "good"}]}'
    (folder / "golden" / "records.jsonl").write_text(line)


@pytest.mark.parametrize(
    ("spoil", "told", "swap"),
    [
        (_relabel, "wrong labels: label 0 of version 1, 'good', is 'bad' now in", "beside"),
        (_not_finite, "non-finite", "beside"),
        (_not_finite, "non-finite", "replace"),
        (_truncate, "model.onnx", "beside"),
        (_wrong_golden, r"jsonl:1: not the golden answer: output\[0\].label is 'good'", "beside"),
        (shutil.rmtree, "has no version '2'", "replace"),
    ],
)
def test_a_version_that_fails_never_answers_and_the_one_before_goes_on(
    models, tmp_path, spoil, told, swap
):
    spoil(models / "mood" / "2")
    with opened(tmp_path, swap=swap) as test:
        test.send("messages", "good")
        test.settle()
        with pytest.raises((ModelError, ConfigError), match=told):
            test.serve("mood", "2")
        test.send("messages", "bad")
        assert [versions(one) for one in test.predictions()] == [{"1"}, {"1"}]


def test_a_version_with_one_label_more_may_follow_and_be_taken_back(models, tmp_path):
    def three(feeds):
        return {
            "logits": np.tile(np.array([[0, 1, 9.0]], np.float32), (len(feeds["input_ids"]), 1))
        }

    add(models, "4", id2label={0: "good", 1: "bad", 2: "mixed"})
    with opened(tmp_path, sessions={"mood@4": three, "same@4": three}) as test:
        test.serve("mood", "4")
        test.send("messages", "fine")
        [prediction] = test.predictions()
        assert prediction.output("first")[0]["label"] == "mixed"
        with pytest.raises(ModelError, match="label 2 of version 4, 'mixed', is gone in version 3"):
            test.serve("mood", "3")


def test_only_a_model_of_the_registry_can_be_swapped(models, tmp_path):
    with opened(tmp_path) as test, pytest.raises(ConfigError, match="no model of uri registry:mod"):
        test.serve("mod", "2")


@settings(max_examples=12)
@given(
    st.sampled_from(DELIVERIES),
    st.lists(st.integers(0, 60), min_size=1, max_size=5),
    st.booleans(),
)
def test_however_swaps_meet_records_no_answer_mixes_versions_and_none_goes_back(
    delivery, batches, fails
):
    with TemporaryDirectory() as made:
        folder = Path(made)
        for number in range(1, len(batches) + 2):
            add(folder / "models", str(number))
        kafka = FakeKafka()
        with opened(folder, delivery, kafka=kafka, partitions=2, sessions=FAKES) as test:
            total = sum(batches)
            sending = Thread(target=_sent, args=(kafka, batches))
            sending.start()
            for number in range(2, len(batches) + 2):
                if fails and number % 2:
                    kafka.fail("commit", "done")
                test.serve("mood", str(number))
            sending.join()
            answers = test.predictions()
    assert len({(one.source, one.offset) for one in answers}) == total
    if delivery == "exactly-once":
        assert len(answers) == total
    assert all(len(versions(one)) == 1 for one in answers)
    by_partition = defaultdict(dict)
    for one in answers:
        by_partition[one.source].setdefault(one.offset, int(one.version("first")))
    for partition in by_partition.values():
        made_by = [version for _, version in sorted(partition.items())]
        assert all(before <= later for before, later in pairwise(made_by))


def _sent(kafka, batches):
    for number, size in enumerate(batches):
        for count in range(size):
            kafka.append("messages", b"good bad", partition=(number + count) % 2)

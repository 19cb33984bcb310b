"""The demo's loop: a beginner that knows little, people who label, scores that can't be learnt."""

import json
from itertools import islice
from pathlib import Path

import pytest
import yaml

import streamer.demo
from streamer.config import Settings, load_topology
from streamer.demo.loop import Scores, prepared
from streamer.demo.messages import held_out, traffic
from streamer.models.version import load_version
from streamer.records import Record, Text
from streamer.retraining.plan import planned
from streamer.retraining.runner import Runner

HERE = Path(streamer.demo.__file__).parent


def prediction(number: int, version: str, label: str) -> Record:
    answer = {"model": "intents", "version": version, "output": [{"label": label}]}
    value = json.dumps({"predictions": {"intent": answer}}).encode()
    return Record("p", 0, number, 0, None, value, (("demo", str(number).encode()),))


def test_only_the_first_of_each_text_counts_since_the_others_may_have_been_learnt_from():
    scores = Scores()
    for number, text in enumerate(("a b", "c d", "a b")):
        scores.sent(number, text, "refund")
    for number, label in enumerate(("refund", "thanks", "refund")):
        scores.note(prediction(number, "1" if number < 2 else "2", label))
    assert dict(scores.answered) == {"1": 2}
    assert scores.accuracy("1") == 0.5
    assert scores.accuracy("2") is None
    assert scores.truth("c d") == "refund"


def test_dead_letters_and_records_of_others_count_for_nobody():
    scores = Scores()
    scores.sent(1, "a", "refund")
    scores.note(Record("p", 0, 0, 0, None, b"{}", ()))
    letter = (("demo", b"1"), ("streamer.error.reason", b"not-text"))
    scores.note(Record("d", 0, 0, 0, None, b"\xff", letter))
    assert not scores.answered


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return prepared(Settings(), HERE, tmp_path_factory.mktemp("demo"), "-x")


def test_the_files_of_the_loop_fit_each_other(made):
    plan = planned(made.retrain, made.settings)
    assert plan.step == "intent"
    assert plan.file.labels.topic == "support.labels-x"
    assert made.topics == ("support.labels-x", "support.label-requests-x")
    topology = load_topology(made.intents)
    assert topology.models["intents"].uri == "registry:intents"
    assert made.settings.deployments.topic == "demo.deployments-x"


def test_the_beginner_is_right_far_less_often_than_the_shipped_version(made):
    shipped = load_version(str(HERE / "models" / "intents" / "1"), beside=HERE, models_dir=HERE)
    plan = planned(made.retrain, made.settings)
    messages = [*held_out(), *islice(traffic(11), 300)]
    texts = [Text(message.text) for message in messages]
    shares = []
    for version in (plan.version, shipped):
        names = version.manifest.id2label
        with Runner(version, threads=1) as runner:
            best = runner.run(texts, ["logits"])["logits"].argmax(axis=1)
        hits = [names[int(at)] == m.label for at, m in zip(best, messages, strict=True)]
        shares.append(sum(hits) / len(hits))
    assert 0.35 < shares[0] < 0.75
    assert shares[1] - shares[0] > 0.15


def test_the_beginner_says_where_it_comes_from_and_nothing_of_the_shipped_one_s_measures(made):
    folder = made.intents.parent / "registry" / "intents" / "1"
    manifest = yaml.safe_load((folder / "model.yaml").read_text())
    assert "metrics" not in manifest
    assert manifest["lineage"]["script"] == "streamer.demo.loop.beginner"

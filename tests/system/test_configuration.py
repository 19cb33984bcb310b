"""Wrong configuration: exit code 2 and a readable word, or a daemon that says what it waits for."""

import socket
import sys

import pytest
import yaml
from support import tiny
from support.daemon import command
from support.waiting import eventually

from streamer.cli.app import main

BASE = {
    "name": "wrong",
    "source": {"topics": ["there-is-none"], "format": "text"},
    "model": "mood",
    "sink": {"topic": "out"},
}


@pytest.fixture
def folder(tmp_path):
    models = tmp_path / "models"
    tiny.text_model(models)
    tiny.text_model(models, "three-labels", id2label={0: "good", 1: "bad", 2: "ugly"})
    tiny.text_model(models, "other-output", outputs={"scores": {"decode": "logits"}})
    text = {"kind": "text", "tokenizer": "tokenizer.json", "tensors": {"tokens": "ids"}}
    tiny.text_model(models, "other-input", inputs={"text": text})
    tiny.text_model(models, "changed", files={"model.onnx": "sha256:" + "0" * 64})
    tiny.text_model(models, "broken")
    (models / "broken" / "model.onnx").write_bytes(b"no graph")
    return tmp_path


WRONG = {
    "an unknown key": ({"sinc": {"topic": "out"}}, ["sinc", "sink", "wrong.yaml"]),
    "an unknown key inside": (
        {"source": {"topics": ["t"], "format": "text", "tombstones": "drop"}},
        ["source.tombstones", "tombstone"],
    ),
    "a wrong value": (
        {"source": {"topics": ["t"], "format": "txt"}},
        ["source.format", "text"],
    ),
    "no such model": ({"model": "moods"}, ["moods", "mood"]),
    "another task": ({"task": "object-detection"}, ["object-detection", "text-classification"]),
    "another format": (
        {"source": {"topics": ["t"], "format": "image"}},
        ["image", "text"],
    ),
    "labels that do not fit": ({"model": "three-labels"}, ["three-labels", "3", "2"]),
    "an output that is not there": ({"model": "other-output"}, ["scores", "logits"]),
    "an input that is not there": ({"model": "other-input"}, ["tokens", "input_ids"]),
    "a file that has changed": ({"model": "changed"}, ["model.onnx", "sha256"]),
    "a file that is no model": ({"model": "broken"}, ["model.onnx"]),
    "output that is input": ({"sink": {"topic": "there-is-none"}}, ["there-is-none"]),
    "a client setting that is none": (
        {"source": {"topics": ["t"], "format": "text", "kafka": {"fetch_maximum": 1}}},
        ["wrong.yaml", "source.kafka.fetch_maximum"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_in_a_topology_ends_with_2_and_a_word(
    name, folder, signals, monkeypatch, capfd
):
    changed, words = WRONG[name]
    (folder / "wrong.yaml").write_text(yaml.safe_dump({**BASE, **changed}))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["streamer", "run", "wrong.yaml"])
    monkeypatch.setenv("STREAMER_HTTP__ENABLED", "false")
    # nobody listens there: what is wrong is found before anything is asked
    monkeypatch.setenv("STREAMER_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:9")
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capfd.readouterr()
    said = out + err
    assert ended.value.code == 2, said
    assert "Traceback" not in said
    for word in words:
        assert word in said, said


def test_unknown_settings_and_files_that_are_not_there_end_with_2(folder):
    file = folder / "right.yaml"
    file.write_text(yaml.safe_dump(BASE))
    for environment, arguments, word in (
        ({"STREAMER_KAFKA__BOOTSTRAP_SERVER": "a:1"}, ("run", "right.yaml"), "BOOTSTRAP_SERVERS"),
        ({"STREAMER_KAFKA__BOOTSTRAP_SERVERS": "nowhere"}, ("run", "right.yaml"), "HOST:PORT"),
        ({}, ("run", "left.yaml"), "left.yaml"),
    ):
        given = {"STREAMER_HTTP__ENABLED": "false", **environment}
        code, said = command(*arguments, environment=given, folder=folder)
        assert code == 2, said
        assert word in said
        assert "Traceback" not in said


def test_an_unreachable_broker_is_waited_for_with_a_readable_log(folder, daemons):
    tiny.text_model(daemons.folder / "models")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    daemon = daemons.start(BASE, KAFKA__BOOTSTRAP_SERVERS=f"127.0.0.1:{port}")

    def waits():
        daemon.alive()
        return len([line for line in daemon.log if "not reachable" in line["message"]]) >= 2

    eventually(waits, "it says twice that it waits")
    codes = {path: daemon.get(path)[0] for path in ("/livez", "/startupz", "/readyz")}
    assert codes == {"/livez": 200, "/startupz": 200, "/readyz": 503}
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.text
    assert f"127.0.0.1:{port}" in daemon.text
    assert "Connection refused" in daemon.text


def test_a_missing_source_is_waited_for_and_a_missing_sink_without_the_right_ends_with_2(
    topics, daemons
):
    tiny.text_model(daemons.folder / "models")
    source, sink = "later-" + topics.make()[-8:], topics.make()
    topology = {**BASE, "source": {"topics": [source], "format": "text"}, "sink": {"topic": sink}}
    daemon = daemons.start(topology, KAFKA__CREATE_TOPICS="false")
    eventually(
        lambda: (
            daemon.alive() or daemon.said("the source topic does not exist yet; waiting for it")
        ),
        "it waits for the source",
    )
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.text

    topology["source"] = {"topics": [topics.make()], "format": "text"}
    topology["sink"] = {"topic": "never-" + sink[-8:]}
    daemon = daemons.start(topology, KAFKA__CREATE_TOPICS="false")
    assert daemon.process.wait(60) == 2
    assert "Traceback" not in daemon.text
    assert f"kafka-topics.sh --create --topic never-{sink[-8:]}" in daemon.text
    assert topics.partitions(f"never-{sink[-8:]}") == 0

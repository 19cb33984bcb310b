"""What the daemon says of itself: probes, metrics, status, logs; and how soon it answers."""

import json
import sys
import time
from pathlib import Path

import pytest
from support import tiny
from support.topics import Sent
from support.waiting import eventually

MODELS = Path(__file__).parents[2] / "streamer" / "demo" / "models"
METRICS = (
    "streamer_records_consumed_total",
    "streamer_predictions_total",
    "streamer_deadletters_total",
    "streamer_batch_items_bucket",
    "streamer_queue_duration_seconds_bucket",
    "streamer_inference_duration_seconds_bucket",
    "streamer_stage_duration_seconds_bucket",
    "streamer_record_duration_seconds_bucket",
    "streamer_in_flight_records",
    "streamer_in_flight_bytes",
    "streamer_consumer_lag_records",
    "streamer_consumer_lag_seconds",
    "streamer_paused_partitions",
    "streamer_model_info",
    "streamer_session_info",
    "streamer_commits_total",
    "streamer_transactions_total",
    "streamer_rebalances_total",
)


def test_two_daemons_on_one_partition_tell_how_they_are(topics, daemons):
    tiny.text_model(daemons.folder / "models")
    source, sink = topics.make(1), topics.make(1)
    letters = topics.make(1)
    common = {
        "source": {"topics": [source], "format": "text"},
        "model": "mood",
        "sink": {"topic": sink},
        "deadletter": {"topic": letters},
    }
    name, other = f"tells-{sink[-8:]}", f"tells-too-{sink[-8:]}"
    topologies = (
        {"name": name, "delivery": "exactly-once", **common},
        {"name": other, "delivery": "at-least-once", **common},
    )
    with daemons.running(*topologies) as first, daemons.running(*topologies) as second:
        topics.send(source, [Sent(b"good"), Sent(b"\xff"), Sent(b"bad")])
        topics.read(sink, 4, alive=first.alive)
        topics.read(letters, 2)
        eventually(
            lambda: topics.members(name) == 2 and len(both(first, second, name)) == 1,
            "one has the partition, the other is ready with none",
        )
        for daemon in (first, second):
            for path in ("/startupz", "/readyz", "/livez"):
                code, said = daemon.get(path)
                assert (code, json.loads(said)["ok"]) == (200, True), said
        code, metrics = first.get("/metrics")
        assert code == 200
        missing = [metric for metric in METRICS if f"\n{metric}" not in metrics]
        assert not missing, missing
        owner = first if first.status(name)["assignment"] else second
        eventually(
            lambda: owner.status(name)["records_answered"] == 2, "the owner counts its answers"
        )
        status = owner.status(name)
        assert status["deadletters"] == {"decode/invalid-utf8": 1}
        assert status["delivery"] == "exactly-once"
        assert status["assignment"] == [f"{source}/0"]
        assert status["steps"]["predict"]["model"] == "mood"
        _, metrics = owner.get("/metrics")
        lines = [line for line in metrics.splitlines() if f'topology="{name}"' in line]
        assert [
            line
            for line in lines
            if line.startswith("streamer_predictions_total{")
            and 'step="predict"' in line
            and 'version="1"' in line
            and line.endswith(" 2.0")
        ], lines
        assert [
            line
            for line in lines
            if line.startswith("streamer_deadletters_total{")
            and 'reason="invalid-utf8"' in line
            and 'stage="decode"' in line
        ]
    begun = first.said("begins") + second.said("begins")
    assert {line["topology"] for line in begun} == {name, other}
    assert all({"level", "timestamp", "message"} <= set(line) for line in first.log)


def both(first, second, name):
    return [*first.status(name)["assignment"], *second.status(name)["assignment"]]


DEMOS = {
    "sentences": ("json", b'{"sentence1": "A dog runs.", "sentence2": "A dog is running."}'),
    "intents": ("text", b"my card has not arrived"),
    "signs": ("image", tiny.picture("green", (480, 640))),
    "sign-kind": ("image", tiny.picture("red", (64, 64))),
}


@pytest.mark.parametrize("model", DEMOS)
def test_a_demo_model_answers_soon_after_its_start(model, topics, daemons, capsys):
    form, value = DEMOS[model]
    source, sink = topics.make(1), topics.make(1)
    topics.own(f"{sink}.deadletters")
    topics.send(source, [value])
    topology = {
        "name": f"{model}-{sink[-8:]}",
        "source": {"topics": [source], "format": form},
        "model": model,
        "sink": {"topic": sink},
    }
    daemon = daemons.start(topology, MODELS__DIR=str(MODELS))
    (answer,) = topics.read(sink, 1, alive=daemon.alive)
    took = time.monotonic() - daemon.started
    with capsys.disabled():
        sys.stdout.write(f"\n{model}: first prediction {took:.2f} s after the process's start\n")
    (said,) = answer.json["predictions"].values()
    assert said["model"] == model
    assert daemon.get("/readyz")[0] == 200
    assert daemon.stop() == 0

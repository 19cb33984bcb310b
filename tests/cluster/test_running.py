"""The chart's pods run, from the image, placed by the scheduler and probed as they say.

The node is a test's (support/node.py), everything else Kubernetes' own.
"""

import contextlib
import json
import os
import random
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from support import chart, learning
from support.node import Node
from support.topics import Sent, sources
from support.waiting import eventually

from streamer.embedded.ports import free_ports

IMAGE = os.environ.get("STREAMER_TEST_IMAGE", "")
pytestmark = [
    pytest.mark.skipif(not IMAGE, reason="platform: no image was built (make cluster-test)"),
    pytest.mark.timeout(900),
]
SMALL = chart.CHART / "examples" / "small.yaml"
PATIENCE_S = 240
_DAEMON = "deployment/live-streamer-intents"
_FIRST = 900


@dataclass(frozen=True)
class Installed:
    """What the release is made of."""

    file: Path
    source: str
    sink: str
    labels: str
    port: int


@pytest.fixture
def values(topics, broker, models, tmp_path):
    """The small example, with topics of the test, a sidecar and the live page."""
    learning.model(models, "intents")
    for folder in (models, *models.rglob("*")):
        folder.chmod(0o777 if folder.is_dir() else 0o644)
    source, sink, labels = topics.make(2), topics.make(2), topics.make()
    name = source[-8:]
    topics.own(f"{sink}.deadletters", f"{labels}.deadletters", f"d-{name}", f"e-{name}")
    repository, _, tag = IMAGE.rpartition(":")
    topology = {
        "delivery": "exactly-once",
        "source": {"topics": [source], "group": f"intents-{name}"},
        "model": "registry:intents",
        "sink": {"topic": sink},
    }
    places = {
        "STREAMER_DEPLOYMENTS__TOPIC": f"d-{name}",
        "STREAMER_DEPLOYMENTS__EVENTS_TOPIC": f"e-{name}",
    }
    port, page_port = free_ports(2)
    retrain = {
        "model": "registry:intents",
        "labels": {"topic": labels, "delay": 0},
        "set": "/models/retraining/intents",
        "strategy": {"kind": "head"},
        "trigger": {"labels": 600},
        "gate": {"min_gain": "2%", "max_latency_ratio": 1000},
        "rollout": {"mode": "promote"},
    }
    given = {
        "image": {"repository": repository, "tag": tag, "pullPolicy": "Never"},
        "kafka": {"bootstrapServers": broker},
        "models": {"readOnly": False},
        "http": {"port": port},
        # Pods have loopback addresses here: each listens on its own.
        "daemon": {"env": {"STREAMER_HTTP__HOST": "$(POD_IP)", **places}},
        "topologies": {"intents": {"topology": topology}},
        "retraining": {"intents": {"topology": "intents", "file": retrain}},
        "livePage": {"enabled": True, "port": page_port, "env": places},
    }
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(given), encoding="utf-8")
    return Installed(file, source, sink, labels, port)


def told(cluster, space, port):
    """What /status of each daemon that answers tells of the topology."""
    found = []
    for pod in cluster.pods(space, "intents"):
        url = f"http://{pod['status'].get('podIP')}:{port}/status"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10) as answer:
            found += json.load(answer)["topologies"].values()
    return found


def test_it_answers_learns_scales_to_nothing_and_goes(cluster, space, values, topics, tmp_path):
    source, sink, scaled = values.source, values.sink, ("scale", f"-n={space}", _DAEMON)
    draw, wait = random.Random(0), f"--timeout={PATIENCE_S}s"
    names = draw.choices(learning.LABELS, k=_FIRST)
    with Node(cluster, tmp_path) as node:
        try:
            cluster.install(space, SMALL, values.file, "--wait", wait)
        finally:
            print(node.log(""))  # noqa: T201 - of a failed test, why nothing came up
        topics.send(source, [Sent(learning.message(name, draw).encode()) for name in names])
        answers = learning.answered(topics, sink, _FIRST)
        assert {answer["version"] for answer in answers} == {"1"}

        # The pods of `helm test` come with the release's version, and go when they have succeeded.
        assert "Phase:          Succeeded" in cluster.helm("test", "live", f"-n={space}", wait)

        # The sidecar learns from labels, writes a version to the claim, and the daemon takes it.
        places = [answer["source"] for answer in answers]
        right = [names[place["offset"] * 2 + place["partition"]] for place in places]
        labelled = zip(places, right, strict=True)
        topics.send(values.labels, [learning.label_of(place, name) for place, name in labelled])
        eventually(
            lambda: '"version": "2"' in json.dumps(told(cluster, space, values.port)),
            "the daemon serves what the sidecar has learnt",
            PATIENCE_S,
        )

        # Another replica takes its share; none is left when KEDA says so, and nothing is lost.
        cluster.kubectl(*scaled, "--replicas=2")
        eventually(
            lambda: [len(one["assignment"]) for one in told(cluster, space, values.port)] == [1, 1],
            "each daemon has a partition",
            PATIENCE_S,
        )
        topics.send(source, [Sent(b"parcel1")] * 50)
        topics.read(sink, _FIRST + 50)
        cluster.kubectl(*scaled, "--replicas=0")
        eventually(lambda: cluster.pods(space, "intents") == [], "the pods are gone", PATIENCE_S)
        assert topics.committed(f"intents-{source[-8:]}", source) == topics.ends(source)
        assert node.log(_DAEMON.partition("/")[2]).count('"stopped"') == 2
        topics.send(source, [Sent(b"parcel1")] * 50)
        cluster.kubectl(*scaled, "--replicas=1")
        answers = topics.read(sink, _FIRST + 100, patience=PATIENCE_S)
        assert set(sources(answers).values()) == {1}
        assert {one["version"] for one in learning.answered(topics, sink, 1)} == {"1", "2"}

        cluster.helm("uninstall", "live", f"-n={space}", "--wait", wait)
        eventually(lambda: cluster.pods(space) == [], "nothing is left", PATIENCE_S)

"""The sidecar's file."""

from pathlib import Path

import pytest

from streamer.errors import ConfigError
from streamer.retraining.config import load_retrain, retrain_schema

SHIPPED = Path(__file__).parents[3] / "topologies" / "retrain.yaml"

FILE = """\
model: registry:sign-kind
topology: topologies/street.yaml
labels: {topic: street.labels, delay: 1h, capture: {share: 5%, keep: 30d}}
label_requests: {topic: street.label-requests, random: 1%, uncertain: 2%}
strategy: {kind: head}
trigger: {labels: 200, every: 24h, accuracy_drop: true, drift: true}
split: {group: key, validation: 10%, test: 20%}
gate: {metric: accuracy, min_gain: 1%, margin: 0.5%, per_class_margin: 3%, max_latency_ratio: 1.2}
rollout: {mode: canary, share: 10%, max_time: 30m}
budget: {threads: 1, max_time: 20m}
"""


def test_a_whole_file_is_read_with_its_units(tmp_path):
    path = tmp_path / "retrain.yaml"
    path.write_text(FILE)
    file = load_retrain(path)
    assert (file.name, file.deadletter_topic) == ("sign-kind", "street.labels.deadletters")
    assert (file.labels.delay, file.labels.capture.keep) == (3600, 30 * 86400)
    assert (file.gate.min_gain, file.split.test, file.budget.max_time) == (0.01, 0.2, 1200)


def test_the_shipped_file_is_read():
    assert load_retrain(SHIPPED).name == "intents"
    assert "strategy" in retrain_schema()["properties"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("registry:sign-kind", "models/sign-kind", "write registry:NAME"),
        ("registry:sign-kind", "'registry:sign-kind@3'", "without a version"),
        ("kind: head", "kind: heads", "strategy.kind"),
        ("labels: 200", "label: 200", "labels"),
        ("group: key", "group: keys", "write key, header:NAME, a JSON pointer or none"),
        ("validation: 10%", "validation: 90%", "leave nothing to learn from"),
        ("min_gain: 1%", "min_gain: 1 point", "min_gain"),
        ("labels: {topic: street.labels,", "labels: {", "topic"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path, old, new, told):
    path = tmp_path / "retrain.yaml"
    assert old in FILE
    path.write_text(FILE.replace(old, new))
    with pytest.raises(ConfigError, match=told):
        load_retrain(path)

"""The last part of `streamer bench`: a backlog through a real Kafka; its figures decide no test."""

from pathlib import Path

import pytest
import yaml
from support import tiny

from streamer.bench.whole import ran
from streamer.config import Settings, load_topology
from streamer.config.settings import KafkaSettings
from streamer.pipeline.assembly import assembled
from streamer.pipeline.events import LineEvents
from streamer.pipeline.model import Models
from streamer.telemetry import Metrics


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_a_backlog_is_answered_and_single_records_after_it(tmp_path: Path, broker, delivery):
    file = tmp_path / "topology.yaml"
    content = {
        "name": "measured",
        "delivery": delivery,
        "source": {"topics": ["in"], "format": "text", "auto_offset_reset": "latest"},
        "model": str(tiny.text_model(tmp_path)),
        "sink": {"topic": "out"},
    }
    file.write_text(yaml.safe_dump(content))
    settings = Settings(kafka=KafkaSettings(bootstrap_servers=broker))
    topology, models = load_topology(file), Models(settings.models)
    events = LineEvents(topology.name, Metrics())
    try:
        assembly = assembled(topology, file, models, events)
        found = ran(topology, assembly, settings, events, [b"good"] * 500, 2)
    finally:
        models.close()
    assert events.counts.answered == 502
    assert found.rate >= 0  # none where so few are committed at once
    assert found.idle_s > 0

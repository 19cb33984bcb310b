"""What the sidecar refuses before anything is consumed."""

import pytest
import yaml
from support import learning

from streamer.config import Settings
from streamer.config.settings import ModelSettings
from streamer.errors import ConfigError
from streamer.retraining.plan import planned


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"source": {"topics": ["in"], "format": "avro"}}, "source.format: .* no avro"),
        ({"sink": {"topic": "out", "format": "protobuf"}}, "sink.format: "),
        (
            {"sink": {"topic": "out", "format": "cloudevents", "mode": "structured"}},
            "sink.format: .* binary",
        ),
        ({"sink": {"topic": "out", "format": "cloudevents"}}, None),
    ],
)
def test_answers_that_it_cannot_read_are_refused_at_the_start(tmp_path, section, told):
    learning.model(tmp_path / "models", "mood")
    topology = {
        "name": "t",
        "source": {"topics": ["in"], "format": "text"},
        "model": "registry:mood",
        "sink": {"topic": "out"},
        **section,
    }
    content = {
        "model": "registry:mood",
        "topology": "t.yaml",
        "labels": {"topic": "labels"},
        "strategy": {"kind": "head"},
    }
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(topology))
    file = tmp_path / "retrain.yaml"
    file.write_text(yaml.safe_dump(content))
    settings = Settings(models=ModelSettings(dir=tmp_path / "models"))
    if told is None:
        assert planned(file, settings).step == "predict"
        return
    with pytest.raises(ConfigError, match=f"t.yaml: {told}"):
        planned(file, settings)

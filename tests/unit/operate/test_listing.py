import fsspec
import pytest
from support import tiny

from streamer.config import Settings
from streamer.config.settings import KafkaSettings, ModelSettings
from streamer.errors import ConfigError
from streamer.models import load_version
from streamer.models.packing import pack
from streamer.models.registry import open_registry
from streamer.operate.models import list_models, show_model

NOBODY = KafkaSettings(bootstrap_servers="127.0.0.1:9")


@pytest.fixture(params=["folder", "url"])
def settings(request, tmp_path):
    place = str(tmp_path / "registry")
    if request.param == "url":
        place = f"memory://{tmp_path.name}"
    models = ModelSettings(dir=tmp_path, registry=place, cache=tmp_path / "cache")
    folder = tiny.text_model(tmp_path / "made", "mood")
    version = load_version(str(folder), beside=folder, models_dir=folder)
    for number, accuracy in (("9", 0.8), ("10", 0.9)):
        packed = pack(version, number=number, metrics={"accuracy": accuracy})
        open_registry(models).add(packed)
    yield Settings(kafka=NOBODY, models=models)
    if request.param == "url":
        fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)


def test_versions_are_listed_in_their_order_and_without_a_broker(settings, capsys):
    assert list_models(settings) == 0
    said = capsys.readouterr().out
    assert said.index("accuracy: 0.8") < said.index("accuracy: 0.9")
    assert "mood" in said
    assert "what serves is not shown: Kafka is not reachable" in said


def test_a_registered_version_is_shown_wherever_it_lies(settings, capsys):
    assert show_model("registry:mood@9", settings) == 0
    assert "accuracy: 0.8" in capsys.readouterr().out
    assert show_model("registry:mood", settings) == 0
    assert "mood 10" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="no version '7'"):
        show_model("registry:mood@7", settings)

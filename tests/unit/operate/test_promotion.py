import pytest
from support import tiny

from streamer.config.settings import ModelSettings
from streamer.deployments import Deployment
from streamer.errors import ConfigError, ModelError
from streamer.models import load_version
from streamer.models.packing import pack
from streamer.models.registry import open_registry
from streamer.operate.promotion import Promotion, _try, named
from streamer.pipeline.model import Models


@pytest.mark.parametrize(
    ("given", "version"),
    [
        ("signs", "3"),
        ("signs@3", None),
        ("signs=3", None),
        ("registry:signs@3", None),
        ("registry:signs", "3"),
    ],
)
def test_a_version_is_named_in_one_word_or_two(given, version):
    assert named(given, version) == ("signs", "3")


@pytest.mark.parametrize(
    ("given", "version"), [("signs", None), ("signs@3", "4"), ("", "3"), ("a/b", "3")]
)
def test_what_names_no_version_or_two_is_refused(given, version):
    with pytest.raises(ConfigError, match=r"write |model 'registry:"):
        named(given, version)


@pytest.fixture
def models(tmp_path):
    settings = ModelSettings(dir=tmp_path / "registry")
    registry = open_registry(settings)
    quick = tiny.text_model(tmp_path / "made", "mood")
    slow = tiny.slow_model(tmp_path / "made", "slow", products=1)
    for number, folder in (("1", quick), ("2", slow), ("3", quick)):
        version = load_version(str(folder), beside=folder, models_dir=folder)
        registry.add(pack(version, name="mood", number=number))
    return Models(settings)


def test_a_version_that_is_much_slower_than_what_serves_is_refused(models):
    serving = Deployment(champion="1")
    with pytest.raises(ModelError, match=r"mood 2 takes [\d.]+ times as long as version 1; --max"):
        _try(models, Promotion("mood", "2"), serving, lambda _: None)


def test_a_version_that_is_no_successor_is_refused(models):
    folder = models.registry.folder("mood", "3")
    manifest = (folder / "model.yaml").read_text().replace("1: bad", "1: sad")
    (folder / "model.yaml").write_text(manifest)
    with pytest.raises(ModelError, match="mood 3: wrong labels: label 1 of version 1, 'bad'"):
        _try(models, Promotion("mood", "3"), Deployment(champion="1"), lambda _: None)

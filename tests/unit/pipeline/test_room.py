"""A candidate that memory does not hold beside the champion is refused before it is loaded."""

import shutil

import pytest
import yaml
from support import tiny

from streamer.config.settings import ModelSettings
from streamer.config.topology import ModelRef
from streamer.errors import ModelError
from streamer.infer import room
from streamer.pipeline.model import Models
from streamer.pipeline.room import room_findings
from streamer.pipeline.swaps import Swaps


@pytest.fixture
def model(tmp_path):
    """Open version 1 of a registered model; version 2 is as large."""
    made = tiny.picture_model(tmp_path / "made")
    manifest = yaml.safe_load((made / "model.yaml").read_text())
    for version in ("1", "2"):
        folder = tmp_path / "registry" / "colours" / version
        shutil.copytree(made, folder)
        told = {**manifest, "name": "colours", "version": version}
        (folder / "model.yaml").write_text(yaml.safe_dump(told))
    models = Models(ModelSettings(dir=tmp_path, registry=str(tmp_path / "registry")))
    models.deployed["colours"] = "1"
    opened = models.open(ModelRef(uri="registry:colours", device="cpu", sessions=3), tmp_path)
    yield models, opened
    models.close()


def left(tmp_path, monkeypatch, size_bytes):
    file = tmp_path / "meminfo"
    file.write_text(f"MemAvailable: {size_bytes // 1024} kB\n")
    monkeypatch.setattr(room, "_MEMINFO", file)
    monkeypatch.setattr(room, "_CONTROL", tmp_path / "none")


def test_a_candidate_without_room_is_refused_with_both_sizes(model, tmp_path, monkeypatch):
    models, opened = model
    left(tmp_path, monkeypatch, 0)
    with pytest.raises(ModelError, match=r"colours 2 needs at least .* on cpu, 0 MiB are free"):
        Swaps(models, []).serve("colours", "2")
    assert opened.champion.version_name == "1"


def test_check_says_that_there_would_be_no_room(model, tmp_path, monkeypatch):
    _, opened = model
    weights = opened.champion.version.file.stat().st_size
    left(tmp_path, monkeypatch, 4 * weights + 1024)
    assert room_findings([opened]) == []
    left(tmp_path, monkeypatch, 2 * weights)  # each of three sessions has its own
    [finding] = room_findings([opened])
    assert "a candidate of the size of 'colours' would find no room beside it" in finding
    assert "models.swap: replace" in finding


def test_models_that_are_never_swapped_need_no_room(model, tmp_path, monkeypatch):
    _, opened = model
    left(tmp_path, monkeypatch, 0)
    opened.ref = opened.ref.model_copy(update={"uri": "models/colours"})
    assert room_findings([opened]) == []

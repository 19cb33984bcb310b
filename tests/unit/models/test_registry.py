import os
import signal
import subprocess
import sys
import time

import fsspec
import pytest
import yaml
from support import tiny

from streamer.config.settings import ModelSettings
from streamer.errors import ConfigError, DownloadError, ModelError
from streamer.models import load_version
from streamer.models.packing import next_version, pack
from streamer.models.registry import LocalRegistry, RemoteRegistry, open_registry


def version_at(folder):
    return load_version(str(folder), beside=folder, models_dir=folder)


@pytest.fixture
def mood(tmp_path):
    folder = tiny.text_model(tmp_path / "made")
    (folder / "golden").mkdir()
    (folder / "golden" / "records.jsonl").write_text("{}\n")
    (folder / "trainable").mkdir()
    (folder / "trainable" / "model.safetensors").write_bytes(b"weights")
    return version_at(folder)


@pytest.fixture(params=["local", "memory"])
def registry(request, tmp_path):
    if request.param == "local":
        yield LocalRegistry(tmp_path / "registry")
        return
    url = f"memory://registry-{tmp_path.name}"
    yield RemoteRegistry(url, tmp_path / "cache")
    fsspec.filesystem("memory").rm(url, recursive=True)


def test_what_is_added_is_found_whole_with_checksums_figures_and_lineage(registry, mood):
    registry.add(pack(mood, number="3", metrics={"accuracy": 0.9}, lineage={"parent": "2"}))
    assert registry.names() == ["mood"]
    assert registry.versions("mood") == ["3"]
    folder = registry.folder("mood")
    found = load_version("registry:mood@3", beside=folder, models_dir=folder, registry=registry)
    assert found.folder == folder
    assert (found.manifest.name, found.manifest.version) == ("mood", "3")
    assert found.manifest.metrics == {"accuracy": 0.9}
    assert found.manifest.lineage.parent == "2"
    assert set(found.manifest.files) == {
        "model.onnx",
        "tokenizer.json",
        "golden/records.jsonl",
        "trainable/model.safetensors",
    }
    assert found.file.name == "model.onnx"
    assert registry.manifest("mood", "3") == found.manifest


def test_the_newest_version_is_the_highest_number(registry, mood):
    for number in ("9", "10", "2"):
        registry.add(pack(mood, number=number))
    assert registry.versions("mood") == ["2", "9", "10"]
    assert registry.folder("mood").name == "10"
    assert registry.folder("mood", "9").name == "9"
    assert next_version(registry.versions("mood")) == "11"


def test_a_version_is_never_changed(registry, mood):
    registry.add(pack(mood))
    before = {
        file: file.read_bytes() for file in registry.folder("mood").rglob("*") if file.is_file()
    }
    with pytest.raises(ConfigError, match="is there already; versions never change"):
        registry.add(pack(mood, metrics={"accuracy": 1.0}))
    folder = registry.folder("mood")
    assert before == {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_what_is_not_there_is_said_with_what_is(registry, mood):
    registry.add(pack(mood))
    with pytest.raises(ConfigError, match=r"no version '7' of 'mood'; it has 1"):
        registry.folder("mood", "7")
    with pytest.raises(ConfigError, match=r"'moot'"):
        registry.folder("moot")


@pytest.fixture
def remote(mood, tmp_path):
    url = f"memory://remote-{tmp_path.name}"
    registry = RemoteRegistry(url, tmp_path / "cache")
    registry.add(pack(mood))
    yield registry
    fsspec.filesystem("memory").rm(url, recursive=True)


def test_a_file_that_is_not_what_the_manifest_says_is_refused_and_not_kept(remote, tmp_path):
    place = f"/remote-{tmp_path.name}/mood/1/model.onnx"
    fsspec.filesystem("memory").pipe_file(place, b"something else")
    with pytest.raises(ModelError, match=r"mood/1/model.onnx: is not the file that model.yaml"):
        remote.folder("mood", "1")
    assert not list((tmp_path / "cache").rglob("model.onnx"))


def test_a_listed_file_that_is_missing_is_named(remote, tmp_path):
    fsspec.filesystem("memory").rm_file(f"/remote-{tmp_path.name}/mood/1/tokenizer.json")
    with pytest.raises(ModelError, match=r"tokenizer.json: the manifest lists it; not there"):
        remote.folder("mood", "1")


class Breaking:
    """A stream that breaks after so many bytes, once."""

    def __init__(self, stream, after, reads):
        self._stream, self._left, self._reads = stream, after, reads

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stream.close()

    def seek(self, position):
        self._reads.append(position)
        self._stream.seek(position)

    def read(self, size):
        if self._left <= 0:
            raise ConnectionResetError("the line went dead")
        chunk = self._stream.read(min(size, self._left))
        self._left -= len(chunk)
        return chunk


def test_a_fetch_goes_on_where_the_last_one_broke_off(remote, mood, monkeypatch):
    reads = []
    plain = remote._remote.open

    def opened(below):
        return Breaking(plain(below), 40 if below.endswith("model.onnx") else 10**9, reads)

    monkeypatch.setattr(remote._remote, "open", opened)
    with pytest.raises(DownloadError, match=r"model.onnx: cannot be fetched: ConnectionResetError"):
        remote.folder("mood", "1")
    assert max(reads) == 80  # three tries, each from where the one before broke off
    assert not remote._cache.joinpath("mood", "1").exists()
    monkeypatch.setattr(remote._remote, "open", plain)
    folder = remote.folder("mood", "1")
    assert (folder / "model.onnx").read_bytes() == mood.file.read_bytes()


def test_a_place_that_does_not_answer_is_no_missing_version(remote, monkeypatch):
    def dead(*_):
        raise OSError("no route to host")

    monkeypatch.setattr(remote._remote.fs, "exists", dead)
    with pytest.raises(DownloadError, match=r"no route to host"):
        remote.folder("mood", "1")


def test_a_manifest_cannot_place_files_outside_of_its_folder(remote, tmp_path):
    file = f"/remote-{tmp_path.name}/mood/1/model.yaml"
    memory = fsspec.filesystem("memory")
    manifest = yaml.safe_load(memory.cat_file(file))
    manifest["files"]["../../../evil"] = manifest["files"]["model.onnx"]
    memory.pipe_file(file, yaml.safe_dump(manifest).encode())
    with pytest.raises(ModelError, match="leads out"):
        remote.folder("mood", "1")


def test_a_version_without_its_manifest_is_none_yet(remote, tmp_path):
    fsspec.filesystem("memory").rm_file(f"/remote-{tmp_path.name}/mood/1/model.yaml")
    assert remote.versions("mood") == []
    assert remote.names() == []
    with pytest.raises(ConfigError, match="no model 'mood'"):
        remote.folder("mood")


_WRITER = """
import sys, time
from pathlib import Path
import streamer.models.packing as packing
from streamer.models import load_version
from streamer.models.registry import LocalRegistry
folder, root, stop_at = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
to_disk = packing._to_disk
def slowly(path):
    to_disk(path)
    if path.name == stop_at:
        print("here", flush=True)
        time.sleep(60)
packing._to_disk = slowly
version = load_version(str(folder), beside=folder, models_dir=folder)
LocalRegistry(root).add(packing.pack(version))
"""


@pytest.mark.parametrize("stop_at", ["tokenizer.json", "model.yaml"])
def test_a_writer_that_is_killed_leaves_no_version_and_hinders_nobody(mood, tmp_path, stop_at):
    root = tmp_path / "registry"
    arguments = [sys.executable, "-c", _WRITER, str(mood.folder), str(root), stop_at]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as writer:  # noqa: S603 - our own
        assert writer.stdout.readline() == b"here\n"
        writer.send_signal(signal.SIGKILL)
    registry = LocalRegistry(root)
    assert registry.names() == []
    assert registry.versions("mood") == []
    assert list((root / "mood").glob(".1.*.part")), "it was killed before it wrote anything"
    with pytest.raises(ConfigError, match="holds no model"):
        registry.folder("mood")
    registry.add(pack(mood))
    assert registry.versions("mood") == ["1"]


def test_what_long_dead_writers_have_left_is_removed(mood, tmp_path):
    left, fresh = (tmp_path / "registry" / "mood" / f".1.{name}.part" for name in ("a", "b"))
    for folder in (left, fresh):
        folder.mkdir(parents=True)
    long_ago = time.time() - 2 * 24 * 3600
    os.utime(left, (long_ago, long_ago))
    LocalRegistry(tmp_path / "registry").add(pack(mood))
    assert (left.exists(), fresh.exists()) == (False, True)


def test_the_settings_say_where_the_registry_is(tmp_path):
    models = ModelSettings(dir=tmp_path / "models")
    assert open_registry(models).place == str(tmp_path / "models")
    given = ModelSettings(registry=f"file://{tmp_path}/there")
    assert open_registry(given).place == f"{tmp_path}/there"
    given = ModelSettings(registry="memory://there", cache=tmp_path)
    assert isinstance(open_registry(given), RemoteRegistry)
    with pytest.raises(ConfigError, match=r"models.registry: nowhere://x: "):
        open_registry(ModelSettings(registry="nowhere://x"))

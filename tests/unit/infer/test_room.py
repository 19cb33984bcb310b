"""Memory that a version needs, and memory that is free."""

import pytest

from streamer.infer import room
from streamer.models import load_version

MEMINFO = "MemTotal: 8000000 kB\nMemFree: 100 kB\nMemAvailable:    2048 kB\n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Makes a machine with 2 MiB left, in a container if its files are given."""

    def make(meminfo=MEMINFO, **container):
        (tmp_path / "meminfo").write_text(meminfo)
        for name, content in container.items():
            (tmp_path / f"memory.{name}").write_text(content)
        monkeypatch.setattr(room, "_MEMINFO", tmp_path / "meminfo")
        monkeypatch.setattr(room, "_CONTROL", tmp_path)

    return make


def test_what_is_free_is_the_least_of_machine_and_container(machine):
    machine()
    assert room.free_bytes("cpu") == 2 * 2**20
    machine(max="max\n", current="1\n", stat="anon 1\n")
    assert room.free_bytes("cpu") == 2 * 2**20
    stat = "anon 5\ninactive_file 4096\nactive_file 8192\n"
    machine(max=f"{2**20}\n", current=f"{2**20 - 1000}\n", stat=stat)
    assert room.free_bytes("cpu") == 1000 + 4096 + 8192
    machine(max=f"{2**20}\n", current=f"{2**21}\n", stat="anon 5\n")
    assert room.free_bytes("cpu") == 0


def test_where_nobody_tells_nothing_is_refused(machine, tmp_path, monkeypatch, picture):
    machine(meminfo="")
    assert room.free_bytes("cpu") is None
    assert room.short_of(picture, device="cpu", copies=10**9, limit=None) is None
    monkeypatch.setattr(room, "_MEMINFO", tmp_path / "none")
    assert room.free_bytes("cpu") is None


@pytest.fixture
def picture(tmp_path):
    from support.tiny import picture_model

    folder = picture_model(tmp_path / "models")
    return load_version(str(folder), beside=tmp_path, models_dir=tmp_path)


def test_as_many_copies_as_are_loaded_must_fit(machine, picture):
    machine()
    size = picture.file.stat().st_size
    assert room.weight_bytes(picture) == size
    fitting = 2 * 2**20 // size
    assert room.short_of(picture, device="cpu", copies=fitting, limit=None) is None
    told = room.short_of(picture, device="cpu", copies=fitting + 1, limit=None)
    assert told is not None
    assert "needs at least 2 MiB on cpu, 2 MiB are free beside what is loaded" in told


def test_a_limit_of_a_gpu_counts_there_only(machine, picture, monkeypatch):
    machine()
    monkeypatch.setattr(room, "_free_on_gpu", lambda device: 2**30)
    assert room.short_of(picture, device="cuda:0", copies=1, limit=2**30) is None
    told = room.short_of(picture, device="cuda:0", copies=1, limit=2**31)
    assert told is not None
    assert "2,048 MiB on cuda:0, 1,024 MiB are free" in told
    assert room.short_of(picture, device="cpu", copies=1, limit=2**31) is None


def test_weights_beside_the_graph_count(tmp_path, picture):
    index = tmp_path / "models" / "model.safetensors.index.json"
    index.write_text('{"weight_map": {"a": "one", "b": "two", "c": "one"}}')
    (index.parent / "one").write_bytes(bytes(1000))
    (index.parent / "two").write_bytes(bytes(500))
    parts = picture.__class__(index.parent, picture.manifest, index)
    assert room.weight_bytes(parts) == 1500 + index.stat().st_size


def test_without_a_gpu_nobody_tells_of_it():
    if room.gpu_uuids():
        pytest.skip("platform: there is a GPU here")
    assert room.free_bytes("cuda:0") is None
    assert room.free_bytes("GPU-0123") is None

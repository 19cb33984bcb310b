"""Models behind URLs: fetched once, whole or not at all, and gone on with where a fetch broke."""

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from support import tiny

from streamer.errors import ConfigError, DownloadError, ModelError
from streamer.models import load_version
from streamer.models.sources import brought
from streamer.models.sources.urls import fetched


class Breaking(MemoryFileSystem):
    """A place whose connections break after so many bytes."""

    protocol = "breaking"
    store = {}
    pseudo_dirs = [""]
    after = 0
    read_from = []

    @classmethod
    def _strip_protocol(cls, path):
        return "/" + path.removeprefix("breaking://").strip("/")

    def _open(self, path, mode="rb", **options):
        stream = super()._open(path, mode, **options)
        return _Broken(stream, self) if mode == "rb" else stream


class _Broken:
    def __init__(self, stream, place):
        self._stream = stream
        self._place = place

    def __enter__(self):
        self._stream.seek(0)
        return self

    def __exit__(self, *_):
        return None

    def seek(self, to):
        self._place.read_from.append(to)
        self._stream.seek(to)

    def read(self, _):
        if self._place.after <= 0:
            return self._stream.read()
        piece = self._stream.read(self._place.after)
        if not piece:
            return b""
        if self._stream.tell() > self._place.after:
            raise ConnectionResetError("the peer is gone")
        return piece


@pytest.fixture
def place():
    MemoryFileSystem.store.clear()
    fs = fsspec.filesystem("memory")
    yield fs
    fs.store.clear()


def put(fs, url, folder):
    for file in folder.rglob("*"):
        if file.is_file():
            fs.pipe_file(f"{url}/{file.relative_to(folder).as_posix()}", file.read_bytes())


def load(uri, tmp_path):
    return load_version(uri, beside=tmp_path, models_dir=tmp_path, cache=tmp_path / "cache")


def test_a_folder_behind_a_url_is_a_version(place, tmp_path):
    put(place, "/bucket/mood", tiny.text_model(tmp_path / "made"))
    version = load("memory://bucket/mood", tmp_path)
    assert version.manifest.name == "mood"
    assert version.folder.is_relative_to(tmp_path / "cache")
    assert sorted(file.name for file in version.folder.glob("[!.]*")) == [
        "model.onnx",
        "model.yaml",
        "tokenizer.json",
    ]


def test_of_a_folder_of_versions_only_the_newest_is_fetched(place, tmp_path):
    for number in ("9", "10"):
        folder = tiny.text_model(tmp_path / number, "mood", version=number)
        put(place, f"/bucket/mood/{number}", folder)
    assert load("memory://bucket/mood", tmp_path).manifest.version == "10"
    assert not list((tmp_path / "cache").rglob("9"))


def test_a_bare_file_behind_a_url_is_taken_as_one_beside_the_topology(place, tmp_path):
    folder = tiny.text_model(tmp_path / "made")
    place.pipe_file("/bucket/mood.onnx", (folder / "model.onnx").read_bytes())
    with pytest.raises(ModelError, match="does not say all that is needed") as caught:
        load("memory://bucket/mood.onnx", tmp_path)
    assert "input_ids: ids" in str(caught.value)


def test_what_is_there_is_not_fetched_again_unless_it_changed_or_was_damaged(place, tmp_path):
    place.pipe_file("/bucket/a.onnx", b"first")
    cache = tmp_path / "cache"
    first = fetched("memory://bucket/a.onnx", cache)
    written = first.stat().st_mtime_ns
    assert fetched("memory://bucket/a.onnx", cache) == first
    assert first.stat().st_mtime_ns == written
    first.write_bytes(b"fires")
    assert fetched("memory://bucket/a.onnx", cache).read_bytes() == b"first"
    place.pipe_file("/bucket/a.onnx", b"second")
    second = fetched("memory://bucket/a.onnx", cache)
    assert (first.read_bytes(), second.read_bytes()) == (b"first", b"second")


@pytest.fixture
def breaking():
    fsspec.register_implementation("breaking", Breaking, clobber=True)
    Breaking.clear_instance_cache()
    fs = fsspec.filesystem("breaking")
    fs.store.clear()
    Breaking.read_from, Breaking.after = [], 0
    return fs


def test_a_fetch_goes_on_where_it_broke(breaking, tmp_path):
    content = bytes(range(200)) * 50
    breaking.pipe_file("/bucket/a.onnx", content)
    Breaking.after = 6000
    with pytest.raises(DownloadError, match="cannot be fetched: ConnectionResetError"):
        fetched("breaking://bucket/a.onnx", tmp_path)
    assert not [path for path in tmp_path.rglob("a.onnx") if path.is_file() and _whole(path)]
    begun = Breaking.read_from[-1]
    Breaking.after = 0
    assert fetched("breaking://bucket/a.onnx", tmp_path).read_bytes() == content
    assert Breaking.read_from[-1] >= begun >= 6000


def _whole(path):
    return not path.parent.name.endswith(".part")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("memory://bucket/nothing", "there is nothing"),
        ("memory://bucket/notes.txt", "is no model file that is known here"),
        ("zip://a.onnx::memory://bucket/a.zip", "archives are not unpacked here"),
        ("tar://a/b", "archives are not unpacked here"),
        ("oci://bucket/model", "oci:// needs a package: .*ocifs"),
        ("nonsense://bucket/a", "Protocol not known: nonsense"),
        ("ftpx:bucket", "'ftpx:' is unknown; write a path, registry:NAME, hf:ORG/REPO@COMMIT"),
    ],
)
def test_a_url_that_cannot_be_used_says_why(place, tmp_path, uri, said):
    place.pipe_file("/bucket/notes.txt", b"hello")
    with pytest.raises(ConfigError, match=said):
        brought(uri, tmp_path)


def test_a_checksum_that_does_not_hold_refuses_what_was_fetched(place, tmp_path):
    folder = tiny.text_model(tmp_path / "made", files={"model.onnx": "sha256:" + "0" * 64})
    put(place, "/bucket/mood", folder)
    with pytest.raises(ModelError, match=r"is not the file that model\.yaml names"):
        load("memory://bucket/mood", tmp_path)

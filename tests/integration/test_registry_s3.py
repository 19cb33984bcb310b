"""The registry in a bucket, on a server that speaks S3."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from support import tiny

from streamer.config.settings import ModelSettings
from streamer.errors import ConfigError, DownloadError, ModelError
from streamer.models import load_version
from streamer.models.packing import pack
from streamer.models.registry import open_registry

pytestmark = [
    pytest.mark.s3,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def server():
    """A server with no buckets; clients find it by their environment."""
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    given = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }
    with pytest.MonkeyPatch.context() as patched:
        for name, value in given.items():
            patched.setenv(name, value)
        yield running
    running.stop()


@pytest.fixture
def bucket(server):
    """A fresh bucket."""
    import s3fs

    name = f"models-{uuid4().hex}"
    s3fs.S3FileSystem(skip_instance_cache=True).mkdir(name)
    return name


@pytest.fixture
def registry(bucket, tmp_path):
    return open_registry(ModelSettings(registry=f"s3://{bucket}/team", cache=tmp_path / "cache"))


@pytest.fixture
def mood(tmp_path):
    folder = tiny.text_model(tmp_path / "made")
    return load_version(str(folder), beside=folder, models_dir=folder)


def test_what_is_added_is_listed_fetched_and_kept(registry, mood):
    assert registry.names() == []
    registry.add(pack(mood, number="9", metrics={"accuracy": 0.9}))
    registry.add(pack(mood, number="10"))
    assert (registry.names(), registry.versions("mood")) == (["mood"], ["9", "10"])
    assert registry.manifest("mood", "9").metrics == {"accuracy": 0.9}
    folder = registry.folder("mood")
    assert (folder.name, folder.joinpath("model.onnx").read_bytes()) == (
        "10",
        mood.file.read_bytes(),
    )
    with pytest.raises(ConfigError, match="is there already; versions never change"):
        registry.add(pack(mood, number="9"))
    with pytest.raises(ConfigError, match="no version '11' of 'mood'; it has 9, 10"):
        registry.folder("mood", "11")


def test_a_damaged_object_is_refused(registry, mood, bucket):
    import s3fs

    registry.add(pack(mood))
    s3fs.S3FileSystem().pipe_file(f"{bucket}/team/mood/1/model.onnx", b"something else")
    with pytest.raises(ModelError, match=r"model.onnx: is not the file that model.yaml names"):
        registry.folder("mood")


def test_of_writers_of_one_number_one_succeeds(registry, mood):
    def write(_):
        try:
            registry.add(pack(mood))
        except ConfigError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(write, range(4)))
    assert told.count(None) == 1, told
    assert all("versions never change" in one for one in told if one)
    assert registry.folder("mood").name == "1"


_WRITER = """
import os, signal, sys
from pathlib import Path
from streamer.config.settings import ModelSettings
from streamer.models import load_version
from streamer.models.fetch import Remote
from streamer.models.packing import pack
from streamer.models.registry import open_registry
folder, url, last = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
registry = open_registry(ModelSettings(registry=url, cache=folder))
fs = registry._remote.fs
put, pipe = fs.put_file, fs.pipe_file
def dying(write, name):
    def writes(*given, **named):
        if last in str(given):
            os.kill(os.getpid(), signal.SIGKILL)
        return write(*given, **named)
    return writes
fs.put_file, fs.pipe_file = dying(put, "put"), dying(pipe, "pipe")
version = load_version(str(folder), beside=folder, models_dir=folder)
registry.add(pack(version))
"""


@pytest.mark.parametrize("last", ["tokenizer.json", "model.yaml"])
def test_a_writer_that_is_killed_leaves_no_version(registry, mood, bucket, last):
    arguments = [sys.executable, "-c", _WRITER, str(mood.folder), f"s3://{bucket}/team", last]
    ended = subprocess.run(arguments, check=False, env={**os.environ})  # noqa: S603 - our own
    assert ended.returncode == -signal.SIGKILL
    assert registry.versions("mood") == []
    registry.add(pack(mood))
    assert registry.folder("mood").joinpath("tokenizer.json").is_file()


def test_a_bucket_that_does_not_answer_is_no_missing_version(registry, mood, monkeypatch, tmp_path):
    registry.add(pack(mood))
    registry.folder("mood", "1")
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    settings = ModelSettings(registry=registry.place, cache=tmp_path / "cache")
    away = open_registry(settings)
    assert away.folder("mood", "1").is_dir()  # fetched before: nobody is asked
    with pytest.raises(DownloadError, match=r"the registry s3://"):
        away.folder("mood", "2")
    s3fs.S3FileSystem.clear_instance_cache()

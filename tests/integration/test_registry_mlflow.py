"""The registry in MLflow, on a real tracking server."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import onnx
import pytest
import yaml
from support import tiny
from support.daemon import command
from support.waiting import eventually

from streamer.config.settings import ModelSettings
from streamer.config.topology import ModelRef
from streamer.errors import ConfigError, DownloadError, ModelError
from streamer.models import load_version
from streamer.models.packing import pack
from streamer.models.registry import open_registry
from streamer.pipeline.model import Models

pytestmark = [
    pytest.mark.mlflow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with nothing in it; gives its URL."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    places = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    places += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "log").open("w") as log:
        running = subprocess.Popen(  # noqa: S603 - MLflow's own command
            [sys.executable, "-m", "mlflow", "server", *arguments, *places],
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=folder,
        )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert running.poll() is None, (folder / "log").read_text()
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=1) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        try:
            eventually(answers, "MLflow answers", 120)
            yield url
        finally:
            os.killpg(running.pid, signal.SIGTERM)
            running.wait(20)


@pytest.fixture
def settings(server, tmp_path):
    return ModelSettings(registry=f"mlflow:{server}", cache=tmp_path / "cache")


@pytest.fixture
def registry(settings):
    return open_registry(settings)


@pytest.fixture
def mood(tmp_path):
    """A version under a name that no other test has."""
    folder = tiny.text_model(tmp_path / "made", name=f"mood-{uuid4().hex[:6]}")
    return load_version(str(folder), beside=folder, models_dir=folder)


@pytest.fixture
def client(server):
    import mlflow

    return mlflow.MlflowClient(tracking_uri=server)


def test_what_is_added_is_listed_fetched_verified_and_numbered_by_mlflow(registry, mood, client):
    name = mood.manifest.name
    assert registry.add(pack(mood, number="1", metrics={"accuracy": 0.9})) == "1"
    assert registry.add(pack(mood, number="2")) == "2"
    assert name in registry.names()
    assert registry.versions(name) == ["1", "2"]
    assert registry.manifest(name, "1").metrics == {"accuracy": 0.9}
    folder = registry.folder(name)
    assert folder.name == "2"
    assert (folder / "model.onnx").read_bytes() == mood.file.read_bytes()
    found = load_version(f"registry:{name}@1", beside=folder, models_dir=folder, registry=registry)
    assert (found.manifest.version, set(found.manifest.files)) == (
        "1",
        {"model.onnx", "tokenizer.json"},
    )
    run = client.get_run(client.get_model_version(name, "1").run_id)
    assert run.data.metrics == {"accuracy": 0.9}  # people see them in MLflow too
    with pytest.raises(ConfigError, match="is there already; versions never change"):
        registry.add(pack(mood, number="2"))
    with pytest.raises(ConfigError, match=r"numbers versions itself.*leave the version out"):
        registry.add(pack(mood, number="77"))
    with pytest.raises(ConfigError, match=r"has no version '9' of 'mood-\w+'; it has 1, 2"):
        registry.folder(name, "9")
    with pytest.raises(ConfigError, match="has no model 'nothing'"):
        registry.folder("nothing")
    assert registry.versions(name) == ["1", "2"]
    client.delete_model_version(name, "2")
    assert int(registry.add(pack(mood, number="2"))) > 2  # a number is never given twice


def test_of_writers_of_one_number_one_succeeds(registry, mood):
    registry.add(pack(mood, number="1"))

    def write(_):
        try:
            return registry.add(pack(mood, number="2"))
        except ConfigError as error:
            return str(error)

    with ThreadPoolExecutor(3) as pool:
        told = list(pool.map(write, range(3)))
    assert told.count("2") == 1, told
    assert sum("versions never change" in one for one in told) == 2, told
    assert registry.versions(mood.manifest.name) == ["1", "2"]


def test_a_damaged_artifact_is_refused(registry, mood, client, tmp_path):
    name = mood.manifest.name
    registry.add(pack(mood, number="1"))
    run = client.get_model_version(name, "1").run_id
    (tmp_path / "model.onnx").write_bytes(b"something else")
    client.log_artifact(run, str(tmp_path / "model.onnx"), "model")
    with pytest.raises(ModelError, match=r"model.onnx: is not the file that model.yaml names"):
        registry.folder(name)


_WRITER = """
import os, signal, sys
from pathlib import Path
from streamer.config.settings import ModelSettings
from streamer.models import load_version
from streamer.models.packing import pack
from streamer.models.registry import open_registry
folder, url, last = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
registry = open_registry(ModelSettings(registry=url, cache=folder))
write = registry._client.log_artifact
def writes(run, file, place):
    if file.endswith(last):
        os.kill(os.getpid(), signal.SIGKILL)
    return write(run, file, place)
registry._client.log_artifact = writes
version = load_version(str(folder), beside=folder, models_dir=folder)
registry.add(pack(version))
"""


def test_a_writer_that_is_killed_leaves_no_version(registry, mood):
    name = mood.manifest.name
    arguments = [sys.executable, "-c", _WRITER, str(mood.folder), registry.place, "model.yaml"]
    ended = subprocess.run(arguments, check=False, env={**os.environ})  # noqa: S603 - our own
    assert ended.returncode == -signal.SIGKILL
    assert registry.versions(name) == []
    with pytest.raises(ConfigError, match="choose another number"):
        registry.add(pack(mood, number="1"))
    assert registry.add(pack(mood, number="2"))
    assert len(registry.versions(name)) == 1


def test_what_serves_is_shown_by_aliases_and_aliases_are_taken_for_versions(registry, mood, client):
    name = mood.manifest.name
    for number in "123":
        registry.add(pack(mood, number=number))
    assert registry.folder(name).name == "3"
    registry.mark(name, "1", "2")
    assert client.get_registered_model(name).aliases == {"champion": "1", "challenger": "2"}
    assert registry.folder(name).name == "1"  # whoever starts afresh takes what serves
    assert [registry.resolve(name, one) for one in ("challenger", "@champion", "3", "x")] == [
        "2",
        "1",
        "3",
        "x",
    ]
    registry.mark(name, "2", None)
    assert client.get_registered_model(name).aliases == {"champion": "2"}


def test_models_that_others_have_logged_are_served_as_versions(
    settings, mood, client, server, tmp_path
):
    import mlflow

    registry = open_registry(settings)
    name = f"logged-{uuid4().hex[:6]}"
    mlflow.set_tracking_uri(server)
    told = {**yaml.safe_load((mood.folder / "model.yaml").read_text()), "name": "x", "version": "x"}
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(told))
    client.create_registered_model(name)
    with mlflow.start_run() as run:
        for file in (mood.file, mood.folder / "tokenizer.json", tmp_path / "model.yaml"):
            mlflow.log_artifact(str(file), "mood")
    source = f"{run.info.artifact_uri}/mood"
    client.create_model_version(name, source, run.info.run_id)
    assert registry.versions(name) == ["1"]
    manifest = registry.manifest(name, "1")
    assert (manifest.name, manifest.version, manifest.task) == (name, "1", "text-classification")
    models = Models(settings)
    found = models.version(ModelRef(uri=f"registry:{name}"), tmp_path, None)
    assert (found.manifest.name, found.manifest.version) == (name, "1")
    graph = onnx.load(tiny.picture_model(tmp_path / "made") / "model.onnx")
    with mlflow.start_run():
        logged = mlflow.onnx.log_model(graph, name="colours", registered_model_name=name)
    assert registry.versions(name) == ["1", str(logged.registered_model_version)]
    with pytest.raises(ModelError, match=r"was logged without a model.yaml"):
        registry.manifest(name, "2")
    assert (registry.folder(name, "2") / "MLmodel").is_file()


def test_a_daemon_serves_from_mlflow_and_aliases_follow_what_is_deployed(
    registry, mood, client, topics, daemons
):
    name = mood.manifest.name
    for number in "12":
        registry.add(pack(mood, number=number))
    client.set_registered_model_alias(name, "blue", "2")
    client.set_registered_model_alias(name, "champion", "1")
    source = topics.make(1)
    names = {
        "KAFKA__BOOTSTRAP_SERVERS": topics.brokers,
        "DEPLOYMENTS__TOPIC": f"{source}.deployments",
        "DEPLOYMENTS__EVENTS_TOPIC": f"{source}.events",
        "DEPLOYMENTS__HEARTBEAT": "1s",
        "MODELS__REGISTRY": registry.place,
        "MODELS__CACHE": str(daemons.folder / "cache"),
    }
    topics.own(*(f"{source}.{end}" for end in ("deployments", "events", "out", "out.deadletters")))
    topology = {
        "name": source,
        "source": {"topics": [source], "format": "text"},
        "model": f"registry:{name}",
        "sink": {"topic": f"{source}.out"},
    }
    daemon = daemons.start(topology, **names).ready()
    topics.send(source, [b"good"])
    [first] = topics.read(f"{source}.out", 1)
    environment = {f"STREAMER_{key}": value for key, value in names.items()}
    code, told = command(
        *("models", "promote", name, "blue", "--wait"),
        environment=environment,
        folder=daemons.folder,
    )
    assert (code, told.splitlines()[-1]) == (0, f"1 of 1 daemons serve {name} 2"), told
    topics.send(source, [b"good"])
    answers = [first, topics.read(f"{source}.out", 2)[1]]
    made = [next(iter(one.json["predictions"].values()))["version"] for one in answers]
    assert made == ["1", "2"]
    eventually(
        lambda: client.get_registered_model(name).aliases == {"blue": "2", "champion": "2"},
        "the alias follows",
    )
    assert daemon.stop() == 0


def test_a_server_that_does_not_answer_is_no_missing_version(registry, mood, tmp_path):
    registry.add(pack(mood, number="1"))
    registry.folder(mood.manifest.name, "1")
    away = ModelSettings(registry="mlflow:http://ann:secret@127.0.0.1:9", cache=tmp_path / "cache")
    with pytest.raises(DownloadError, match=r"the registry mlflow:http://127.0.0.1:9") as told:
        open_registry(away).folder("mood", "2")
    assert "secret" not in str(told.value)

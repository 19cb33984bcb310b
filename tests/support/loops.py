"""The whole loop, task by task: what comes, what is right of it, who knows too little of it."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamer.models import Version
from streamer.models.packing import pack
from streamer.models.registry import LocalRegistry
from streamer.retraining.answers import outputs_of
from streamer.retraining.finding import written
from streamer.retraining.grading import graded
from streamer.retraining.marks import Figures
from streamer.retraining.truth import Form
from support import heads, lessons
from support.daemon import Daemons
from support.learning import SidecarProcess
from support.topics import Got, Sent, Topics, sources
from support.waiting import eventually
from support.world import World

_KINDS = ("red", "blue", "plain")
_WORDS = lessons.vocabulary(_KINDS, 12)
_TAGS = ("O", "B-red", "I-red", "B-blue", "I-blue")
_SURE = 3.29  # the normal distribution's quantile of 99.95%
_LEAST_SPREAD = 0.1  # of figures that happen to be all alike


@dataclass(frozen=True)
class Task:
    """What is learnt in a loop.

    Attributes:
        form: of its answers; the key that labels have.
        reads: format of the source topic.
        weak: writes the version that serves first.
        told: makes examples: so many, by a seed.
        wrong: what no label can say, and the reason that its dead letter has.
        first: records before anything is learnt; labels come for all of them.
        fresh: records that the new version answers.
        items: answers that each record has: of its crops where there are several.
        step: how it answers, if not as its manifest says.
        before: writes a model for the step before it; that is the step's name, too.
        retrain: sections of the sidecar's file.
    """

    form: Form
    reads: str
    weak: Callable[[Path], Version]
    told: Callable[[int, int], list[lessons.Told]]
    wrong: tuple[Any, str]
    first: int
    fresh: int = 300
    items: int = 1
    step: Mapping[str, Any] = field(default_factory=dict)
    before: tuple[str, Callable[[Path], Version]] | None = None
    retrain: Mapping[str, Any] = field(default_factory=dict)

    def world(self, topics: Topics, daemons: Daemons, broker: str, folder: Path) -> World:
        """Make the topics, the models and the files."""
        before = {}
        if self.before is not None:
            name, write = self.before
            before[name] = {"uri": str(write(folder / name).folder)}
        made = World(topics, daemons, broker, folder, self.write, self.reads, self.step, before)
        made.configure(trigger={"labels": self.first * self.items}, step="answer", **self.retrain)
        return made

    def write(self, models: Path, name: str) -> None:
        """Write the first version into the registry."""
        version = self.weak(models.parent / name)
        LocalRegistry(models).add(pack(version, name=name, number="1"))

    def figures(self, right: list[Any], given: list[Any]) -> Figures:
        """Give figures of answers as they were published, whose mean is the task's metric."""
        if self.form == "label":
            hits = [one[0]["label"] == truth for one, truth in zip(given, right, strict=True)]
            return np.array(hits, np.float64)
        marks = graded(self.form, right, (given, given), [""] * len(given), frozenset())
        return marks.challenger


TASKS = {
    "pictures": Task(
        "label",
        "image",
        lambda folder: heads.picture_model(folder, lessons.SHAPES),
        lambda count, seed: lessons.pictures(count, lessons.SHAPES, seed),
        wrong=("", "no-label"),
        first=600,
    ),
    "similarity": Task(
        "score",
        "json",
        lambda folder: heads.sentence_model(folder, _WORDS),
        lambda count, seed: lessons.pairs(count, random.Random(seed), each=12, telling=3, plain=1),
        wrong=("alike", "wrong-type"),
        first=600,
        retrain={"gate": {"max_size_ratio": 10}},  # beside so small an embedder a matrix is much
    ),
    "tokens": Task(
        "entities",
        "text",
        lambda folder: heads.tag_model(folder, _TAGS, _WORDS),
        lambda count, seed: lessons.tagged(count, random.Random(seed), _KINDS, 12),
        wrong=([{"entity_group": "red", "start": 3, "end": 3}], "wrong-answer"),
        first=400,
    ),
    "crops": Task(
        "label",
        "image",
        lambda folder: heads.picture_model(folder, lessons.SHAPES),
        lessons.side_by_side,
        wrong=("", "no-label"),
        first=300,
        fresh=150,
        items=2,
        step={"from": "halves.crops"},
        before=("halves", heads.halves_model),
    ),
}
"""Those that need no Torch."""


@dataclass(frozen=True)
class _Told:
    """One answer, and what is right."""

    source: Mapping[str, Any]
    version: str
    item: int | None
    output: Any
    right: Any


def _label(told: _Told, form: Form, right: Any) -> Sent:
    """Say what is right of an answer."""
    source = told.source
    name = f"{source['topic']}/{source['partition']}/{source['offset']}/answer"
    content = {"ref": source, "step": "answer", form: right, "reason": "random", "propensity": 1.0}
    if told.item is not None:
        name, content = f"{name}/{told.item}", {**content, "item": told.item}
    return Sent(json.dumps(content).encode(), name.encode())


class Loop:
    """One task on a real broker: a daemon, a sidecar, and people who say what is right."""

    def __init__(self, world: World, task: Task) -> None:
        self.world, self.task = world, task
        self._right: dict[bytes, Any] = {}
        self._seed = 0
        self.daemon = world.daemon()
        self.sidecar: SidecarProcess = world.sidecar()

    def send(self, count: int) -> None:
        """Send examples that nobody has seen before."""
        self._seed += 1
        records = []
        for sample, right in self.task.told(count, self._seed):
            value = written(sample)
            self._right[value] = right
            records.append(value)
        self.world.topics.send(self.world.source, records)

    def sent(self) -> list[Got]:
        """All that was sent."""
        return self.world.topics.read(self.world.source)

    def answers(self) -> list[Got]:
        """Wait until everything that was sent is answered; give the answers."""
        count = sum(self.world.topics.ends(self.world.source).values())
        return self.world.topics.read(self.world.sink, count, alive=self.daemon.alive)

    def figures(self, version: str) -> Figures:
        """Say how good the answers of a version were."""
        told = [one for one in self._told() if one.version == version]
        return self.task.figures([one.right for one in told], [one.output for one in told])

    def _told(self) -> list["_Told"]:
        """Put all answers beside what is right."""
        values = {(got.partition, got.offset): got.value or b"" for got in self.sent()}
        found = []
        for got in self.answers():
            step = got.json["predictions"]["answer"]
            right = self._right[values[got.source[1:]]]
            for item, output, _ in outputs_of(step["output"]):
                of_it = right if item is None else right[item]
                found.append(_Told(got.json["source"], step["version"], item, output, of_it))
        return found

    def label(self) -> None:
        """Say what is right of every answer, and of one what nothing can be learnt from."""
        told = self._told()
        labels = [_label(one, self.task.form, one.right) for one in told]
        labels.append(_label(told[0], self.task.form, self.task.wrong[0]))
        self.world.topics.send(self.world.labels, labels)

    def live(self) -> tuple[float | None, int]:
        """What the sidecar has told of the first version: accuracy, and of how many records."""

        def told() -> tuple[float | None, int] | None:
            events = self.world.topics.read(self.world.environment["DEPLOYMENTS__EVENTS_TOPIC"])
            key = f"retraining/{self.world.model}".encode()
            live = [got.json["live"] for got in events if got.key == key]
            found = live[-1].get("1") if live else None
            return (
                (found[0], found[1])
                if found and found[1] >= self.task.first * self.task.items
                else None
            )

        return eventually(told, "live accuracy", 60, 1.0) or (None, 0)

    def learnt(self) -> dict[str, Any]:
        """Wait for the end of a run; give its report."""

        def ended() -> bool:
            self.sidecar.alive()
            return bool(self.sidecar.said("a run has ended"))

        eventually(ended, "a run", 240, 0.2)
        return self.world.report()

    def swapped(self, version: str) -> None:
        """Wait until a version answers."""

        def answers() -> bool:
            self.send(1)
            newest = self.answers()
            return any(got.json["predictions"]["answer"]["version"] == version for got in newest)

        eventually(answers, "the new version answers", 60, 0.5)


def closes(loop: Loop) -> None:
    """Go through the loop once, and check what it promises.

    A weak version answers, people say what would have been right, the sidecar learns, the gate
    promotes, the daemon swaps, and fresh records are answered better, as the report has said. No
    record is lost or answered twice.
    """
    world, task = loop.world, loop.task
    loop.send(task.first)
    before = loop.figures("1")
    assert len(before) == task.first * task.items
    loop.label()
    report = loop.learnt()
    assert report["verdict"] == "promote", report["reasons"]
    right, labelled = loop.live()
    assert labelled == task.first * task.items
    assert right is not None
    if task.form == "label":
        assert right == pytest.approx(before.mean())
    letters = world.topics.read(f"{world.labels}.deadletters")
    assert [one.error("reason") for one in letters] == [task.wrong[1]]
    loop.swapped("2")
    loop.send(task.fresh)
    fresh = loop.figures("2")
    assert len(fresh) >= task.fresh * task.items
    said, held_out = report["gate"]["challenger"], report["gate"]["examples"]
    spread = max(float(fresh.std()), _LEAST_SPREAD) * sqrt(1 / len(fresh) + 1 / held_out)
    assert abs(fresh.mean() - said) < _SURE * spread, (fresh.mean(), said)
    assert fresh.mean() > before.mean() + 0.1, (fresh.mean(), before.mean())
    counts = sources(world.topics.read(world.sink))
    assert set(counts) == {(world.source, got.partition, got.offset) for got in loop.sent()}
    assert set(counts.values()) == {1}
    assert world.topics.read(world.letters) == []
    assert loop.sidecar.stop() == 0
    assert loop.daemon.stop() == 0

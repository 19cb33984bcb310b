"""What the loop needs: files, topics, the sidecar as a process of its own, and what it tells."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streamer.broker import Reader
from streamer.config import Settings
from streamer.demo.loop.beginner import write_beginner
from streamer.demo.loop.clerks import Clerks
from streamer.demo.loop.scores import Scores
from streamer.demo.traffic import Sample
from streamer.deployments.events import Changed, read_event
from streamer.records import Record, TopicPartition
from streamer.retraining.progress import Told

MODEL = "intents"
LABELS, REQUESTS = "support.labels", "support.label-requests"
_RETRAIN = Path(__file__).with_name("retrain.yaml")
_LEAST_SHOWN, _ENOUGH = 20, 200


@dataclass(frozen=True)
class Prepared:
    """Files and settings of a demo whose `intents` learns.

    Attributes:
        intents: its topology, with the model from a registry.
        retrain: the sidecar's file.
        log: what the sidecar says.
        topics: of labels, and of requests for them.
    """

    settings: Settings
    intents: Path
    retrain: Path
    log: Path
    topics: tuple[str, ...]


def prepared(settings: Settings, here: Path, folder: Path, mark: str) -> Prepared:
    """Write a registry with a version that has seen little, and the files that name it.

    Args:
        settings: of the demo.
        here: the demo's folder, with what is shipped.
        folder: where is written.
        mark: behind the names of topics that another demo on the same brokers must not see.
    """
    write_beginner(here / "models" / MODEL / "1", folder / "registry" / MODEL / "1")
    files = {}
    shipped = {"intents": here / "topologies" / "intents.yaml", "retrain": _RETRAIN}
    for name, source in shipped.items():
        text = source.read_text(encoding="utf-8")
        text = text.replace("uri: models/intents", f"uri: registry:{MODEL}")
        for topic in (LABELS, REQUESTS):
            text = text.replace(f"topic: {topic}", f"topic: {topic}{mark}")
        files[name] = folder / f"{name}.yaml"
        files[name].write_text(text, encoding="utf-8")
    models = settings.models.model_copy(update={"registry": str(folder / "registry")})
    topics = {"topic": f"demo.deployments{mark}", "events_topic": f"demo.events{mark}"}
    deployments = settings.deployments.model_copy(update={**topics, "heartbeat": 1.0})
    changed = settings.model_copy(update={"models": models, "deployments": deployments})
    asked = (f"{LABELS}{mark}", f"{REQUESTS}{mark}")
    return Prepared(changed, files["intents"], files["retrain"], folder / "retrain.log", asked)


def missing() -> str | None:
    """Name what the sidecar needs and is not installed; None if all is there."""
    absent = [name for name in ("onnx", "pyarrow", "scipy") if find_spec(name) is None]
    return ", ".join(absent) or None


@contextmanager
def running(made: Prepared, console: Console) -> Iterator["Loop"]:
    """Let people label and the sidecar learn; give what follows both."""
    scores = Scores()
    labels, requests = made.topics
    with Reader(made.settings.kafka) as reader:
        events = TopicPartition(made.settings.deployments.events_topic, 0)
        reader.assign([events])
        with Clerks(made.settings, requests, labels, scores.truth), _sidecar(made) as process:
            yield Loop(reader, scores, console, process.is_alive, made.log)


@contextmanager
def _sidecar(made: Prepared) -> Iterator[BaseProcess]:
    """Run `streamer retrain` beside the demo, as a process of its own."""
    process = get_context("spawn").Process(
        target=_learn,
        args=(made.retrain, made.settings.model_dump(), made.log),
        name="retrain",
        daemon=True,
    )
    process.start()
    try:
        yield process
    finally:
        process.terminate()
        process.join(10)
        if process.is_alive():
            process.kill()


def _learn(file: Path, settings: dict[str, Any], log: Path) -> None:
    """Be the sidecar; what it says goes to a file."""
    from streamer.retraining.sidecar import run_sidecar
    from streamer.telemetry import configure

    with log.open("ab", buffering=0) as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    configure("json", "INFO")
    sys.exit(run_sidecar(file, Settings(**settings)))


@dataclass
class Loop:
    """Follows what is told of the model, and says so as it happens.

    Attributes:
        reader: assigned to the events topic.
        scores: how versions fare.
        console: where it is said.
        alive: whether the sidecar lives.
        log: what it says, for the case that it does not.
    """

    reader: Reader
    scores: Scores
    console: Console
    alive: Callable[[], bool]
    log: Path
    told: Told | None = None
    versions: list[str] = field(default_factory=list)
    began: float = field(default_factory=monotonic)
    _judged: set[str] = field(default_factory=set)
    _said: set[str] = field(default_factory=set)

    def sent(self, number: int, sample: Sample) -> None:
        """Take note of what is sent."""
        if sample.truth is not None:
            self.scores.sent(number, (sample.value or b"").decode(), sample.truth)

    def answered(self, record: Record) -> None:
        """Take note of what comes back."""
        self.scores.note(record)

    def poll(self) -> None:
        """Take what has come on the events topic."""
        for record in self.reader.poll(0.0):
            self._note(record)
        if not self.alive():
            lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
            self._say(f"the sidecar has ended: {lines[-1] if lines else 'it said nothing'}")
        for version in self.scores.answered:
            if version not in self.versions:
                self.versions.append(version)
                self._say(f"version {version} of {MODEL} answers")
            if self.scores.answered[version] >= _ENOUGH and version not in self._judged:
                self._judged.add(version)
                self._say(self.summary())

    def _note(self, record: Record) -> None:
        event = read_event(record)
        if isinstance(event, Changed) and event.model == MODEL:
            self._say(f"{event.action}: {event.reason}" if event.reason else event.action)
        elif b'"retraining"' in (record.value or b""):
            self.told = Told.model_validate(msgspec.json.decode(record.value or b"{}"))

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self.console.print(f"[bold]{monotonic() - self.began:4.0f} s[/bold]  {escape(text)}")

    def table(self) -> Table:
        """Lay out how versions fare, and what the sidecar is at."""
        table = Table(title=f"learning: {MODEL}", title_justify="left")
        table.add_column("version", no_wrap=True)
        for column in ("new messages", "right"):
            table.add_column(column, justify="right", no_wrap=True)
        for version in self.versions:
            count, share = self.scores.answered[version], self.scores.accuracy(version)
            shown = "…" if share is None or count < _LEAST_SHOWN else f"{share:.1%}"
            table.add_row(version, str(count), shown)
        table.caption = self._caption()
        table.caption_justify = "left"
        return table

    def _caption(self) -> str:
        told = self.told
        if not self.alive():
            return "nothing is learnt any more: the sidecar has ended"
        if told is None:
            return "the sidecar starts"
        if told.run is not None:
            return f"run {told.run} {told.stage}, {told.seconds:.0f} s"
        due = "" if told.due_at is None else f" of {told.due_at}"
        last = f"; last run: {told.last}" if told.last else ""
        return f"labels: {told.taken}{due}{last}"

    def summary(self) -> str:
        """Say in a line how versions fared."""
        parts = [
            f"version {version} was right about {share:.1%} of {self.scores.answered[version]}"
            for version in self.versions
            if (share := self.scores.accuracy(version)) is not None
        ]
        return f"new messages: {'; '.join(parts)}" if parts else "no message was answered"

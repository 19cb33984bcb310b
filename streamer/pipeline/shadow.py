"""A candidate that answers beside the champion, for nobody: a process of its own, last in line.

It never makes the champion wait: what it can't take at once is passed over and counted, its process
has the lowest priority, and its crash is its own. Both versions are loaded there and timed under
the same conditions; the champion of the line is not touched.
"""

import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from threading import Condition, Thread
from typing import Any, Literal

import msgspec
import structlog

from streamer.broker import Producer, partition_for
from streamer.config import Settings, Topology
from streamer.deployments.counts import Counts
from streamer.encode import Encoder
from streamer.errors import BrokerError, EncodeError, ModelError, StreamerError
from streamer.formats import registry_for, writing_for
from streamer.models import Version
from streamer.pipeline.tally import Tally, failed_in
from streamer.records import Answer, Item, Record

_MOST_RECORDS = 512
_MOST_BYTES = 32 * 2**20
_AT_ONCE = 32
_END_WITHIN_S = 5.0


class Said(msgspec.Struct, array_like=True):
    """A record for the shadow, and what the champion's line said of it.

    Attributes:
        answers: outputs by step, where the record was answered.
        failed: whether the champion failed on it.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    answers: dict[str, Any]
    failed: bool

    @classmethod
    def of(cls, item: Item, *, failed: bool) -> "Said":
        """Take what the shadow needs of an answered item."""
        record = item.record
        return cls(
            record.topic,
            record.partition,
            record.offset,
            record.timestamp,
            record.key,
            record.value,
            record.headers,
            {step: answer.output for step, answer in item.answers.items()},
            failed,
        )

    def record(self) -> Record:
        """Give the record."""
        return Record(
            self.topic,
            self.partition,
            self.offset,
            self.timestamp,
            self.key,
            self.value,
            self.headers,
        )


class Work(msgspec.Struct, array_like=True):
    """What the shadow's process is to do first.

    Attributes:
        topology: as JSON.
        steps: that the model works in.
        champion: folder of the version that serves, and the task.
        candidate: folder of the other one.
        registry: the settings of the schema registry.
        log: how and from which level on it logs.
    """

    topology: bytes
    model: str
    rollout: str
    steps: list[str]
    task: str
    champion: str
    candidate: str
    registry: dict[str, Any]
    log: tuple[Literal["console", "json"], str]


class Done(msgspec.Struct, array_like=True):
    """What became of a batch.

    Attributes:
        counts: all that was counted so far, as an event.
        answers: of each record, by step: task, model, version and output; None if it failed.
    """

    counts: bytes
    answers: list[dict[str, tuple[str, str, str, Any]] | None]


class Shadow:
    """The shadow of one model in one topology.

    Args:
        topology: whose records it sees.
        steps: that the model works in.
        tally: counts what is passed over, and why it failed.
        versions: champion and candidate.
        share: tells which records it looks at.
        topic: where its answers go.
        settings: where the schema registry is, and how the process logs.
        producer: opens what writes them.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of one shadow
        self,
        topology: Topology,
        steps: Sequence[str],
        tally: Tally,
        versions: tuple[Version, Version],
        share: Callable[[Record], bool],
        topic: str,
        settings: Settings,
        producer: Callable[[], Producer],
    ) -> None:
        self._topology = topology
        self._steps = frozenset(steps)
        self._tally = tally
        self._share = share
        self._producer = producer
        self._topic = topic
        self._registry = settings.schema_registry
        self._log = structlog.get_logger("shadow").bind(
            topology=topology.name, model=tally.model, candidate=versions[1].manifest.version
        )
        self._work = Work(
            topology.model_dump_json(by_alias=True, exclude={"model", "task"}).encode(),
            tally.model,
            tally.rollout,
            list(steps),
            versions[1].manifest.task,
            str(versions[0].folder),
            str(versions[1].folder),
            settings.schema_registry.revealed(),
            (settings.log.format, settings.log.level),
        )
        self._waiting: deque[Said] = deque()
        self._waiting_bytes = 0
        self._changed = Condition()
        self._ended = False
        self._counts: Counts | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = Thread(target=self._run, name=f"shadow-{topology.name}", daemon=True)

    def start(self) -> None:
        """Load the versions, and look at records from now on."""
        self._thread.start()

    def offer(self, items: Sequence[Item]) -> None:
        """Take answered items as far as there is room; never waits."""
        shed = 0
        with self._changed:
            for item in items:
                failed = failed_in(item.rejection, self._steps)
                if failed is None or item.tombstone or item.dropped:
                    continue
                if not self._share(item.record):
                    continue
                size = item.record.size_bytes
                full = len(self._waiting) >= _MOST_RECORDS
                if full or self._waiting_bytes + size > _MOST_BYTES or self._ended:
                    shed += 1
                    continue
                self._waiting.append(Said.of(item, failed=failed))
                self._waiting_bytes += size
            self._changed.notify()
        if shed:
            self._tally.shed(shed)

    def counts(self, daemon: str, at: str) -> Counts:
        """Give what was counted so far, as an event."""
        ours = self._tally.counts(daemon, at)
        if self._counts is None:
            return ours
        changed = {"daemon": daemon, "at": at, "shed": ours.shed, "failed": ours.failed}
        return self._counts.model_copy(update=changed)

    def stop(self) -> None:
        """End it; what waits is passed over."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        process = self._process
        if process is not None:
            process.kill()
        if self._thread.is_alive():
            self._thread.join(_END_WITHIN_S)

    def _run(self) -> None:
        try:
            self._shadow()
        except StreamerError as error:
            if not self._ended:
                self._tally.failed = str(error)
                self._log.warning("the candidate has ended in its shadow", error=str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the champion goes on
            self._log.error("the shadow has ended", error=f"{type(error).__name__}: {error}")
        finally:
            with self._changed:
                self._ended = True
                self._waiting.clear()

    def _shadow(self) -> None:
        encoder = self._encoding()
        line = self._started()
        producer: Producer | None = None
        try:
            self._ask(line, msgspec.msgpack.encode(self._work))
            self._log.info("the shadow answers beside the champion")
            while batch := self._next():
                told = self._ask(line, msgspec.msgpack.encode(batch))
                done = msgspec.msgpack.decode(told, type=Done)
                self._counts = Counts.model_validate_json(done.counts)
                try:
                    producer = producer or self._producer()
                    self._write(producer, encoder, batch, done)
                except BrokerError as error:  # its answers are at most once
                    self._log.warning("a shadow's answers are not written", error=str(error))
                    producer = _closed(producer)
        finally:
            line.close()
            _closed(producer)
            if self._process is not None:
                self._process.kill()
                self._process.wait(_END_WITHIN_S)

    def _encoding(self) -> Encoder:
        """Prepare to write answers as the sink has them; a registry that is away is waited for.

        Raises:
            ConfigError: the registry refuses the schema.
            BrokerError: it did not answer until the end.
        """
        aside = self._topology.sink.model_copy(update={"topic": self._topic})
        registry = registry_for(aside.format, self._registry, lambda: self._ended)
        writing = writing_for(aside.format, registry, aside.topic) if registry else None
        return Encoder(self._topology.model_copy(update={"sink": aside}), writing)

    def _started(self) -> Connection:
        """Start the process, with the lowest priority there is."""
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = [sys.executable, "-m", "streamer.pipeline.shadow_worker"]
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [*arguments, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        return Connection(ours.detach())

    def _ask(self, line: Connection, message: bytes) -> bytes:
        """Send a message and wait for what comes back.

        Raises:
            ModelError: the process has died, or a version does not load there.
        """
        try:
            line.send_bytes(message)
            told = line.recv_bytes()
        except (EOFError, OSError) as error:
            code = None if self._process is None else self._process.wait(_END_WITHIN_S)
            raise ModelError(f"the candidate's process died (exit code {code})") from error
        if told.startswith(b"!"):
            raise ModelError(told[1:].decode())
        return told

    def _next(self) -> list[Said]:
        """Wait for records; empty at the end."""
        with self._changed:
            while not self._waiting and not self._ended:
                self._changed.wait()
            if self._ended:
                return []
            batch = [self._waiting.popleft() for _ in range(min(_AT_ONCE, len(self._waiting)))]
            self._waiting_bytes -= sum(one.record().size_bytes for one in batch)
            return batch

    def _write(
        self, producer: Producer, encoder: Encoder, batch: Sequence[Said], done: Done
    ) -> None:
        """Write the candidate's answers aside; one that Kafka refuses is nobody's loss.

        Raises:
            BrokerError: Kafka does not take them.
        """
        partitions = producer.partitions(self._topic)
        for said, answers in zip(batch, done.answers, strict=True):
            if answers is None:
                continue
            item = Item(said.record())
            item.answers = {step: Answer(*answer) for step, answer in answers.items()}
            try:
                out = encoder.prediction(item)
            except EncodeError:
                continue
            place = partition_for(out, partitions, self._topology.sink.partition)
            producer.append(out, place)
        producer.flush()


def _closed(producer: Producer | None) -> Producer | None:
    if producer is not None:
        producer.close(timeout=0)
    return None


def answers_of(item: Item, steps: Sequence[str]) -> Mapping[str, Answer] | None:
    """Give what was said in these steps; None if the record failed."""
    if item.rejection is not None:
        return None
    return {step: item.answers[step] for step in steps if step in item.answers}

"""A topology run in this process, on a Kafka in memory."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time
from types import TracebackType
from typing import Any, Self

from pydantic_settings import PydanticBaseSettingsSource

from streamer.config import Settings, load_topology
from streamer.config.settings import LineSettings
from streamer.errors import ConfigError, StreamerError
from streamer.pipeline.assembly import assembled
from streamer.pipeline.events import LineEvents
from streamer.pipeline.line import Line
from streamer.pipeline.model import Models
from streamer.pipeline.swaps import Swaps
from streamer.records import Headers, TopicPartition
from streamer.telemetry import Metrics
from streamer.testing.answers import DeadLetter, Prediction
from streamer.testing.kafka import FakeKafka
from streamer.testing.sessions import FakeModel, Sessions

_PATIENCE_S = 30.0
_LOOK_EVERY_S = 0.002


class NotAnsweredError(StreamerError):
    """Records were neither answered nor rejected in time."""


class _PlainSettings(Settings):
    """Defaults: a test does not depend on the environment it runs in."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type,
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what the constructor is given, nothing else."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


@dataclass(frozen=True)
class _Sent:
    topic: str
    value: bytes | None
    key: bytes | None
    headers: Headers
    partition: int
    timestamp: int


class TopologyTest:
    """Runs a topology as the daemon does, threads, commits and all, without a broker.

    Records are held back until answers are asked for, and enter the line at once then: so the
    same test makes the same waves and batches each time.

    Args:
        file: the topology's file.
        sessions: by the topology's name of a model, a function in its place, or by `NAME@VERSION`
            for one version of it; other models run.
        partitions: of each topic.
        kafka: a Kafka with a past, or one that fails; a fresh one if left out.
        settings: the daemon's; the defaults if left out, whatever the environment says.
        serving: by its name in the registry, the version of a model that serves at first; the
            newest if left out.
        patience: seconds after which unanswered records are an error.

    Attributes:
        kafka: topics and groups; `kafka.fail("commit", "done")` lets calls fail.
    """

    def __init__(  # noqa: PLR0913 - the parts of one test
        self,
        file: str | Path,
        *,
        sessions: Mapping[str, FakeModel] | None = None,
        partitions: int = 1,
        kafka: FakeKafka | None = None,
        settings: Settings | None = None,
        serving: Mapping[str, str] | None = None,
        patience: float = _PATIENCE_S,
    ) -> None:
        self._file = Path(file).absolute()
        self.topology = load_topology(self._file)
        self._sessions = Sessions(self.topology, sessions or {})
        self._settings = settings or _PlainSettings(
            instance="test", line=LineSettings(decode_threads=1)
        )
        self.kafka = kafka or FakeKafka()
        topology = self.topology
        for topic in (*topology.source.topics, topology.sink.topic, topology.deadletter_topic):
            self.kafka.create(topic, partitions)
        self._partitions = partitions
        self._patience = patience
        self._models = Models(self._settings.models, self._sessions.open)
        self._models.deployed = dict(serving or {})
        self._swaps: Swaps | None = None
        self._held: list[_Sent] = []
        self._line: Line | None = None

    def __enter__(self) -> Self:
        events = LineEvents(self.topology.name, Metrics())
        assembly = assembled(self.topology, self._file, self._models, events)
        self._swaps = Swaps(
            self._models, assembly.steps, beside=self._settings.models.swap == "beside"
        )
        self._line = Line(
            self.topology, assembly, self._settings, events, "test", connections=self.kafka
        )
        self._line.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self._held:
                self.settle()
        finally:
            self._end()

    def _end(self) -> None:
        line, self._line = self._line, None
        if line is None:
            return
        line.stop()
        deadline = monotonic() + self._patience
        while not line.ended.wait(_LOOK_EVERY_S):
            self.kafka.nudge()
            if monotonic() > deadline:
                line.abandon()
        self._models.close()

    def send(  # noqa: PLR0913 - a record's parts
        self,
        topic: str,
        value: bytes | str | Mapping[str, Any] | Sequence[Any] | None,
        *,
        key: bytes | None = None,
        headers: Headers = (),
        partition: int = 0,
        timestamp: int | None = None,
    ) -> None:
        """Send a record to a topic that is read.

        Args:
            topic: one of the source's.
            value: bytes as they are, text as UTF-8, anything else as JSON, None for a tombstone.
            key: the record's key.
            headers: pairs of a name and bytes.
            partition: where it goes; keys don't decide here.
            timestamp: milliseconds since the epoch; now if left out.

        Raises:
            ConfigError: the topology does not read the topic, or there is no such partition.
        """
        if topic not in self.topology.source.topics:
            message = f"'{self.topology.name}' reads {list(self.topology.source.topics)}"
            raise ConfigError(f"{message}, not '{topic}'")
        if partition not in range(self._partitions):
            message = f"{topic} has {self._partitions} partitions; got {partition}"
            raise ConfigError(f"{message} (TopologyTest(..., partitions=...))")
        if isinstance(value, str):
            value = value.encode()
        elif value is not None and not isinstance(value, bytes):
            value = json.dumps(value).encode()
        stamp = int(time() * 1000) if timestamp is None else timestamp
        self._held.append(_Sent(topic, value, key, tuple(headers), partition, stamp))

    def serve(self, model: str, version: str) -> None:
        """Put another version into service while records flow, as a promotion does.

        It is loaded, tried and swapped in between two waves; returns when no wave runs with the
        one before any more.

        Args:
            model: its name in the registry, as in `registry:NAME`.
            version: its version there.

        Raises:
            ConfigError: the topology has no such model, or the registry no such version.
            ModelError: it fails what is asked of it; the one before serves on.
        """
        if self._swaps is None or not self._models.following(model):
            raise ConfigError(f"'{self.topology.name}' runs no model of uri registry:{model}")
        self._swaps.serve(model, version)

    def predictions(self) -> list[Prediction]:
        """Give all predictions so far, by partition and in order.

        Raises:
            StreamerError: what ended the line, or kept it from answering.
        """
        self.settle()
        return [Prediction.read(record) for record in self.kafka.records(self.topology.sink.topic)]

    def deadletters(self) -> list[DeadLetter]:
        """Give all dead letters so far, by partition and in order.

        Raises:
            StreamerError: what ended the line, or kept it from answering.
        """
        self.settle()
        topic = self.topology.deadletter_topic
        return [DeadLetter.read(record) for record in self.kafka.records(topic)]

    def positions(self) -> dict[TopicPartition, int]:
        """Give the positions that the topology's group has committed."""
        self.settle()
        return dict(self.kafka.committed(self.topology.group, self.topology.source.topics))

    def settle(self) -> None:
        """Let what was sent enter the line, and wait until all of it is answered and committed.

        Raises:
            StreamerError: what ended the line, or kept it from answering.
        """
        held, self._held = self._held, []
        with self.kafka.changed:
            for sent in held:
                self.kafka.append(
                    sent.topic,
                    sent.value,
                    partition=sent.partition,
                    key=sent.key,
                    headers=sent.headers,
                    timestamp=sent.timestamp,
                )
        deadline = monotonic() + self._patience
        while True:
            open_ = self._unanswered()
            self._raise_what_ended_the_line(open_)
            if not open_:
                return
            if monotonic() > deadline:
                message = f"not answered within {self._patience:.0f} s: {_told(open_)}"
                raise NotAnsweredError(message)
            with self.kafka.changed:
                self.kafka.changed.notify_all()
                self.kafka.changed.wait(_LOOK_EVERY_S)

    def _unanswered(self) -> dict[TopicPartition, tuple[int, int]]:
        """Give committed position and end of the partitions that are not answered whole."""
        topics = self.topology.source.topics
        with self.kafka.changed:
            group = self.kafka.group(self.topology.group)
            return {
                partition: (position, end)
                for partition, end in self.kafka.ends(topics).items()
                if (position := (group.committed(partition) or (0, ""))[0]) < end
            }

    def _raise_what_ended_the_line(self, open_: Mapping[TopicPartition, tuple[int, int]]) -> None:
        if self._sessions.mistake is not None:
            raise self._sessions.mistake
        line = self._line
        if line is not None and line.error is not None and line.ended.is_set():
            raise line.error
        if line is None and open_:
            message = "the topology does not run: use it as `with TopologyTest(...) as test:`"
            raise StreamerError(message)


def _told(open_: Mapping[TopicPartition, tuple[int, int]]) -> str:
    return ", ".join(
        f"{partition}: {end - position} records from offset {position} on"
        for partition, (position, end) in open_.items()
    )

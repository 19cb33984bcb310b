"""The whole pipe: records from an embedded Kafka, answers back to it, committed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic, sleep

from streamer.broker import Admin, Producer
from streamer.config import Settings, Topology
from streamer.config.settings import KafkaSettings
from streamer.embedded import EmbeddedKafka
from streamer.errors import BrokerError
from streamer.pipeline.assembly import Assembly
from streamer.pipeline.events import LineEvents
from streamer.pipeline.line import Line
from streamer.records import OutRecord, TopicPartition

_LOOK_EVERY_S = 0.005
_LEAD = 0.2
"""Share of the records that only fill the line."""
_STALLED_S = 60.0
_MAX_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Ran:
    """A backlog worked off.

    Attributes:
        rate: committed records a second, once the line is full.
        idle_s: seconds from a record sent to an idle line to its committed answer.
    """

    rate: float
    idle_s: float


@contextmanager
def kafka_here(settings: Settings) -> Iterator[Settings]:
    """Run a Kafka on this machine; give settings that lead there."""
    with EmbeddedKafka(port=0) as kafka:
        here = KafkaSettings(
            bootstrap_servers=kafka.bootstrap_servers, client=settings.kafka.client
        )
        yield settings.model_copy(update={"kafka": here})


def ran(  # noqa: PLR0913, PLR0917 - what one run is made of
    topology: Topology,
    assembly: Assembly,
    settings: Settings,
    events: LineEvents,
    values: Sequence[bytes],
    idle: int,
) -> Ran:
    """Answer a backlog, then single records.

    Args:
        topology: what to run, on topics of its own.
        assembly: its models, loaded.
        settings: where Kafka is.
        events: counts what is committed.
        values: the backlog.
        idle: single records that are sent after it.
    """
    here = _on_own_topics(topology, settings)
    producer = Producer(settings.kafka, {"max_request_size": _MAX_BYTES})
    _send(producer, here, values)
    line = Line(here, assembly, settings, events, f"bench-{topology.name}")
    line.start()
    try:
        lead = int(len(values) * _LEAD)
        _await(line, events, lead)
        began, before = monotonic(), events.counts.done
        _await(line, events, len(values))
        rate = (len(values) - before) / max(monotonic() - began, 1e-9)
        waited = []
        for number in range(idle):
            sleep(0.1)  # the line is idle again
            sent = monotonic()
            _send(producer, here, values[number % len(values) :][:1])
            _await(line, events, len(values) + number + 1)
            waited.append(monotonic() - sent)
    finally:
        line.stop()
        line.ended.wait(_STALLED_S)
        producer.close()
    return Ran(rate, sorted(waited)[len(waited) // 2] if waited else 0.0)


def _on_own_topics(topology: Topology, settings: Settings) -> Topology:
    name = f"{topology.name}.{monotonic():.0f}.{topology.delivery}"
    own = {"topics": (f"{name}.in",), "group": name, "auto_offset_reset": "earliest"}
    source = topology.source.model_copy(update=own)
    sink = topology.sink.model_copy(update={"topic": f"{name}.out"})
    letters = topology.deadletter_section.model_copy(update={"topic": f"{name}.deadletters"})
    configs = {"max.message.bytes": str(_MAX_BYTES)}
    with Admin(settings.kafka) as admin:
        for topic in (*source.topics, sink.topic, letters.topic):
            admin.create(topic, 1, configs)
    changed: Mapping[str, object] = {"source": source, "sink": sink, "deadletter": letters}
    return topology.model_copy(update=dict(changed))


def _send(producer: Producer, topology: Topology, values: Sequence[bytes]) -> None:
    [topic] = topology.source.topics
    place = TopicPartition(topic, 0)
    for value in values:
        producer.append(OutRecord(topic, None, value, (), None, place), 0)
    producer.flush()


def _await(line: Line, events: LineEvents, count: int) -> None:
    """Wait until so many records are committed.

    Raises:
        BrokerError: the line does not get on.
    """
    seen, since = -1, monotonic()
    while (done := events.counts.done) < count:
        if line.error is not None:
            raise line.error
        if done != seen:
            seen, since = done, monotonic()
        if monotonic() - since > _STALLED_S:
            message = f"{done} of {count} records are answered, and nothing moves"
            raise BrokerError(message, retriable=False)
        sleep(_LOOK_EVERY_S)

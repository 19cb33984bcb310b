"""A topology at work: its stages joined, cut into threads, and watched."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from threading import Event, Thread
from time import monotonic
from typing import Any

import structlog

from streamer.broker import Member
from streamer.config import Settings, Topology
from streamer.consume import Assignment, Caution, Commits, Gatherer, Source
from streamer.decode import Decoder, GpuJpegs
from streamer.encode import Encoder
from streamer.errors import StreamerError
from streamer.formats import Writing, registry_for, writing_for
from streamer.pipeline.assembly import Assembly
from streamer.pipeline.connections import Connections, KafkaConnections
from streamer.pipeline.events import LineEvents
from streamer.pipeline.guard import Guard
from streamer.pipeline.pace import pace_of
from streamer.pipeline.prepare import Preparer
from streamer.pipeline.stages import working_stages
from streamer.publish import AtLeastOnce, ExactlyOnce, Outlet
from streamer.records import Record, TopicPartition, Tracing, Wave
from streamer.runtime import Budget, Channel, Closed, Stage, run_line

_RECORD_OVERHEAD_BYTES = 2048
"""What a record takes in objects beside its bytes: measured about 1.5 kB for a short text."""
_TRANSACTION_GRACE_S = 30.0
_AHEAD = 2
"""Waves in the works beside the one of each step: one that is decoded, and one that waits decoded
for its turn. More would only wait: as long as nobody is idle, they are memory and delay."""


class Line:
    """Runs one topology in this process."""

    def __init__(  # noqa: PLR0913 - the parts of one line
        self,
        topology: Topology,
        assembly: Assembly,
        settings: Settings,
        events: LineEvents,
        transactional_id: str,
        *,
        connections: Connections | None = None,
        traces: Tracing | None = None,
    ) -> None:
        self.topology = topology
        self.assembly = assembly
        self._settings = settings
        self._events = events
        self._transactional_id = transactional_id
        self._traces = traces
        self._connections = connections or KafkaConnections(settings)
        self._log = structlog.get_logger("line").bind(topology=topology.name)
        self._stopping = Event()
        self._at_once = Event()
        self._drained = Event()
        self.ended = Event()
        self.error: BaseException | None = None
        self.budget = Budget(settings.line.memory)
        self._caution = Caution(topology.wave.max_records)
        self._pace = pace_of(topology.wave, assembly.kind)
        self._commits = Commits(topology.commit_interval)
        self.assignment = Assignment(self._unsettled)
        self._consumer: Member | None = None
        self._source: Source | None = None
        self._preparer: Preparer | None = None
        self._exactly_once: ExactlyOnce | None = None
        self._stages: list[Any] = []
        self._left_at = monotonic()
        self._begun = 0
        self._worked_off = 0
        self._moved = Event()
        self._thread = Thread(target=self._run, name=f"consume-{topology.name}", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def stop(self) -> None:
        """Read nothing more; finish and commit what is in the line."""
        self._stopping.set()

    def abandon(self) -> None:
        """Stop at once; what is not committed will be read again."""
        self._at_once.set()
        self._stopping.set()

    @property
    def joined(self) -> bool:
        """Whether this process is a member of the group."""
        return self._consumer is not None and self._consumer.joined

    @property
    def decode_threads(self) -> int | None:
        """Threads that decode at once while a backlog waits; None before the line runs."""
        return self._preparer.threads if self._preparer is not None else None

    def stalled_for(self) -> float:
        """Seconds since the line last moved although it has something to do."""
        now = monotonic()
        polling = now - self._source.moved_at if self._source is not None else 0.0
        working = now - max([self._left_at, *(s.moved_at for s in self._stages)])
        return max(polling, working if self.budget.taken_bytes else 0.0)

    def transaction_hangs(self) -> bool:
        """Whether a transaction takes longer than the broker grants; the client never gives up."""
        since = self._exactly_once.open_since if self._exactly_once is not None else None
        limit = self._settings.kafka.transaction_timeout + _TRANSACTION_GRACE_S
        return since is not None and monotonic() - since > limit

    def _run(self) -> None:
        structlog.contextvars.bind_contextvars(topology=self.topology.name)
        try:
            self._consume()
        except BaseException as error:  # noqa: BLE001 - the supervisor raises it
            self.error = error
        finally:
            self.ended.set()

    def _consume(self) -> None:
        preparer = self._preparer = CostedPreparer(
            self.topology, self.assembly, self._settings, self._stopping.is_set
        )
        self._consumer = self._connections.consumer(self.topology, self.assignment)
        tail: Channel[Wave] = Channel(1)
        feed: Channel[Wave] = Channel(1)
        try:
            source = self._source = self._open_source(preparer.costs)
            feed, self._stages, tail = run_line(
                [self._named(stage) for stage in self._line(preparer)],
                capacity=1,
                observe=self._events.staged,
            )
            emptying = Thread(target=self._empty, args=(tail,), name="settle", daemon=True)
            emptying.start()
            with suppress(Closed):  # a stage has failed; its error is raised below
                for wave in source.waves(
                    partial(self._has_room, feed), partial(self._await_room, feed), self._wants_end
                ):
                    if self._traces is not None:
                        self._traces.begin(wave)
                    self._begun += 1
                    feed.put(self.assembly.enter(wave))
            feed.close()
            source.linger(self._drained.is_set, abandoned=self._at_once.is_set)
        finally:
            feed.close()
            with suppress(StreamerError):
                self._consumer.close()
            preparer.close()
        self._raise_stage_errors()

    def _await_room(self, feed: Channel[Wave], seconds: float) -> None:
        self._moved.clear()
        if not self._has_room(feed):
            self._moved.wait(seconds)

    def _has_room(self, feed: Channel[Wave]) -> bool:
        in_work = self._begun - self._worked_off
        enough = in_work >= len(self.assembly.steps) + _AHEAD
        return feed.has_room() and not enough and not self.assembly.models.held_back

    def _wants_end(self) -> bool:
        return self._stopping.is_set() or any(stage.error for stage in self._stages)

    def _raise_stage_errors(self) -> None:
        errors = [stage.error for stage in self._stages if stage.error is not None]
        if len(errors) == 1:
            raise errors[0]
        if errors:
            message = f"several stages of '{self.topology.name}' failed"
            raise BaseExceptionGroup(message, errors)

    def _open_source(self, costs: Callable[[Sequence[Record]], Sequence[int]]) -> Source:
        topology = self.topology
        exactly_once = topology.delivery == "exactly-once"
        out_of_range = topology.source.on_offset_out_of_range
        if self._consumer is None:
            message = "the source is opened after the consumer"
            raise RuntimeError(message)
        return Source(
            self._consumer,
            self.assignment,
            Gatherer(topology.wave, costs, lambda: self._pace.records),
            self.budget,
            self._caution,
            None if exactly_once else self._commits,
            topics=topology.source.topics,
            reset=topology.source.auto_offset_reset,
            out_of_range=out_of_range or ("stop" if exactly_once else "earliest"),
            max_wait=max((model.batch.max_wait for model in topology.models.values()), default=0),
            events=self._events,
        )

    def _line(self, preparer: Preparer) -> list[Stage]:
        """Lay the stages out: each begins when a wave comes and hands it on in order."""
        stages = working_stages(preparer, self.assembly.steps)
        encoder = Encoder(self.topology, self._writing())
        guard = Guard(self.topology.deadletter_section)
        stages.append(Stage("encode", self._encoding(encoder, guard)))
        stages.append(Stage("publish", self._publisher(encoder)))
        return stages

    def _unsettled(
        self, epochs: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, tuple[int, str]]:
        """Give what is answered and not committed; with transactions there is no such thing."""
        found = self._commits.unsettled(epochs)
        return {p: (position, self._caution.note(p)) for p, position in found.items()}

    def _named(self, stage: Stage) -> Stage:
        """Let the stage's thread name the topology in whatever it logs."""

        def work(items: Iterable[Any]) -> Iterator[Any]:
            structlog.contextvars.bind_contextvars(topology=self.topology.name)
            yield from stage.work(items)

        return Stage(stage.name, work)

    def _writing(self) -> Writing | None:
        sink = self.topology.sink
        registry = registry_for(sink.format, self._settings.schema_registry, self._stopping.is_set)
        return writing_for(sink.format, registry, sink.topic) if registry else None

    def _encoding(
        self, encoder: Encoder, guard: Guard
    ) -> Callable[[Iterable[Wave]], Iterator[Wave]]:
        def worked_off(waves: Iterable[Wave]) -> Iterator[Wave]:
            for wave in waves:
                self._worked_off += 1
                self._moved.set()
                yield wave

        def encoded(waves: Iterable[Wave]) -> Iterator[Wave]:
            found = encoder.encoded(guard.checked(worked_off(waves)))
            return found if self._traces is None else map(self._traces.sending, found)

        return encoded

    def _publisher(self, encoder: Encoder) -> Callable[[Iterable[Wave]], Iterator[Wave]]:
        topology, connections = self.topology, self._connections
        limits = connections.limits((topology.sink.topic, topology.deadletter_topic))
        outlet = Outlet(topology, encoder, limits)
        if topology.delivery == "at-least-once":
            return AtLeastOnce(
                outlet,
                lambda: connections.producer(topology, None),
                self.assignment,
                self._commits.answered,
                self._at_once.is_set,
            ).published
        if self._consumer is None:
            message = "the publisher is opened after the consumer"
            raise RuntimeError(message)
        self._exactly_once = ExactlyOnce(
            outlet,
            lambda: connections.producer(topology, self._transactional_id),
            self.assignment,
            self._committed,
            self._ready_wave,
            self._at_once.is_set,
            self._caution.note,
            self._events.transaction,
            interval=topology.commit_interval,
            most_records=topology.wave.max_records,
        )
        return self._exactly_once.published

    def _ready_wave(self, taken: Sequence[Wave], seconds: float) -> Wave | None:
        """Take a further encoded wave; wait for it only if there is more in the line."""
        inbox: Channel[Wave] = self._stages[-1].inbox
        more = self.budget.taken_bytes > sum(wave.cost_bytes for wave in taken)
        return inbox.get_within(seconds if more else 0.0)

    def _committed(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        topics = {partition.topic for partition in partitions}
        return self._connections.committed(self.topology.group, topics)

    def _empty(self, tail: Channel[Wave]) -> None:
        """Take published waves off the line's end: their memory and their story end here."""
        try:
            for wave in tail:
                self._settled(wave)
        except BaseException as error:  # noqa: BLE001 - the supervisor raises it
            self.error = error
        finally:
            tail.discard()  # publish ends at its next wave, and all before it
            self._drained.set()

    def _settled(self, wave: Wave) -> None:
        self.budget.give_back(wave.cost_bytes)
        self._left_at = monotonic()
        for partition, part in wave.slices.items():
            self._caution.passed(partition, len(part.items))
        self._pace.left(
            len(wave.items),
            backlog=self.budget.taken_bytes > 0,
            behind=sum(self._events.counts.lag.values()),
        )
        self._events.published(wave, self.budget.taken_bytes)
        if self._traces is not None:
            self._traces.settled(wave)
        self.assembly.models.leave(wave)


class CostedPreparer(Preparer):
    """A preparer that also knows what a record will take."""

    def __init__(
        self,
        topology: Topology,
        assembly: Assembly,
        settings: Settings,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        registry = registry_for(topology.source.format, settings.schema_registry, stopping)
        on_gpu = assembly.kind == "image" and topology.source.images.decode == "gpu"
        jpegs = GpuJpegs().decode if on_gpu else None
        edge = assembly.longest_edge
        decoder = Decoder(topology.source, assembly.kind, registry, edge, jpegs)
        super().__init__(
            decoder,
            assembly.kind,
            assembly.steps,
            topology.source.tombstone,
            settings.line.decode_threads,
        )
        self._assembly = assembly

    def costs(self, records: Sequence[Record]) -> list[int]:
        """Give the bytes that each record takes in the line: its own, and what is made of it.

        The decoded original counts where a later step cuts crops from it; else it lives only as
        long as its decoding, and the models' inputs are what stays.
        """
        made = self._assembly.input_bytes + _RECORD_OVERHEAD_BYTES
        if self._keep_image:
            return [self._decoder.cost(record) + made for record in records]
        return [record.size_bytes + made for record in records]

"""What the process counts, for Prometheus: one method an event, called once a batch or a wave."""

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from numpy.typing import ArrayLike
from prometheus_client import CollectorRegistry, Gauge, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from streamer import __version__
from streamer.records import TopicPartition
from streamer.telemetry.families import Families
from streamer.telemetry.rollouts import RolloutMetrics

_ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_RATIOS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75)
_SHORT_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The families of one process, in a registry of its own.

    Attributes:
        registry: what `/metrics` shows.
        families: what there is, for the reference page.
        record_durations: from poll to acknowledgement, by topology; knows percentiles.
        rollouts: of candidates that are compared.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        # A second series for each counter that only says when it was made: nobody asks for it.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry or CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.families = Families(self.registry)
        self._lagging: dict[tuple[Gauge, str], set[TopicPartition]] = {}
        self._serving: dict[str, tuple[str, str, str]] = {}
        self._replaced: dict[str, str] = {}
        self._session_places: dict[str, set[tuple[str, str]]] = {}
        self._make_record_families()
        self._make_work_families()
        self._make_kafka_families()
        self._make_model_families()
        self._make_process_families()
        self.rollouts = RolloutMetrics(self.families)

    def _make_record_families(self) -> None:
        self.record_durations = self.families.durations(
            "record_duration_seconds",
            "From a record's poll to the acknowledgement of its answer",
            "topology",
        )
        self._consumed = self.families.counter("records_consumed", "Records polled", "topology")
        self._predictions = self.families.counter(
            "predictions",
            "Answers of a step in acknowledged predictions",
            *("topology", "step", "model", "version"),
        )
        self._deadletters = self.families.counter(
            "deadletters", "Records written as dead letters", "topology", "stage", "reason"
        )
        self._dropped = self.families.counter("records_dropped", "Tombstones dropped", "topology")
        self._recalled = self.families.counter(
            "records_recalled",
            "Records answered as one with the same value before (repeats)",
            "topology",
        )
        self._skipped = self.families.counter(
            "records_lost",
            "Records that retention removed before they were read",
            *("topology", "topic"),
        )

    def _make_work_families(self) -> None:
        step, stage = ("topology", "step"), ("topology", "stage")
        model = (*step, "model", "version")
        self._batch_items = self.families.histogram(
            "batch_items", "Items in a batch, by why it was closed", (*step, "reason"), _ITEMS
        )
        self._batch_waste = self.families.histogram(
            "batch_padding_ratio", "Share of a batch's tensor that is padding", step, _RATIOS
        )
        self._inference = self.families.histogram(
            "inference_duration_seconds", "A session's run of one batch", model, _SHORT_S
        )
        self._queue = self.families.histogram(
            "queue_duration_seconds", "What a wave waited before a stage", stage, _SHORT_S
        )
        self._stage = self.families.histogram(
            "stage_duration_seconds", "What a stage worked on a wave", stage, _SHORT_S
        )
        self._in_flight_records = self.families.gauge(
            "in_flight_records", "Records polled and not acknowledged yet", "topology"
        )
        self._in_flight_bytes = self.families.gauge(
            "in_flight_bytes", "What they take of the line's memory budget", "topology"
        )
        self._in_flight_limit = self.families.gauge(
            "in_flight_limit_bytes", "The line's memory budget", "topology"
        )
        self._stalled = self.families.gauge(
            "stalled_seconds",
            "Time since the line last moved although it has something to do",
            "topology",
        )

    def _make_kafka_families(self) -> None:
        at = ("topology", "topic", "partition")
        self._lag_records = self.families.gauge(
            "consumer_lag_records", "Records behind the committed position", *at
        )
        self._lag_seconds = self.families.gauge(
            "consumer_lag_seconds", "Age of the oldest record not answered yet", *at
        )
        self._assigned = self.families.gauge(
            "assigned_partitions", "Partitions that this process reads", "topology"
        )
        self._paused = self.families.gauge(
            "paused_partitions", "Partitions not fetched, for the line is full", "topology"
        )
        self._commits = self.families.counter("commits", "Commits of positions", "topology")
        self._transactions = self.families.counter(
            "transactions", "Transactions by their end", "topology", "outcome"
        )
        self._rebalances = self.families.counter("rebalances", "Assignments taken", "topology")

    def _make_model_families(self) -> None:
        self._model_info = self.families.gauge(
            "model_info", "1 for each model version in service", "model", "version", "task"
        )
        self._session_info = self.families.gauge(
            "session_info", "Sessions of a model, by where they run", "model", "device", "provider"
        )
        self._session_nodes = self.families.gauge(
            "session_nodes", "Nodes of a model's graph, by what computes them", "model", "provider"
        )
        self._fallbacks = self.families.counter(
            "device_fallbacks", "Models that run elsewhere than asked for", "model", "wanted"
        )
        self._swaps = self.families.counter(
            "model_swaps", "Versions put into service in place of another", "model"
        )
        self._swap_failures = self.families.counter(
            "model_swap_failures", "Versions that were to serve and could not be loaded", "model"
        )

    def _make_process_families(self) -> None:
        build = self.families.gauge(
            "build_info", "1, with the versions of streamer and of Python", "version", "python"
        )
        build.labels(__version__, platform.python_version()).set(1)
        self._topology_info = self.families.gauge(
            "topology_info", "1 for each topology of the process", "topology", "delivery", "group"
        )
        self._startup = self.families.gauge(
            "startup_seconds", "What loading and checking the models took"
        )
        self._certificate = self.families.gauge(
            "certificate_expiry_timestamp_seconds",
            "When a certificate of the Kafka connection ends, in seconds since 1970",
            "certificate",
        )

    def topology(self, name: str, delivery: str, group: str, topics: Iterable[str] = ()) -> None:
        """A topology is part of the process; what it may count is shown from the start, as 0.

        A counter that appears with its first event hides that event from `rate` and `increase`.
        """
        self._topology_info.labels(name, delivery, group).set(1)
        for family in (self._consumed, self._dropped, self._commits, self._rebalances):
            family.labels(name)
        for topic in topics:
            self._skipped.labels(name, topic)
        for outcome in ("committed", "aborted"):
            self._transactions.labels(name, outcome)
        for gauge in (self._in_flight_records, self._in_flight_bytes, self._assigned):
            gauge.labels(name).set(0)

    def line(self, topology: str, limit_bytes: int, stalled_for: Callable[[], float]) -> None:
        """A line begins, with that much memory; `stalled_for` is asked at every scrape."""
        self._in_flight_limit.labels(topology).set(limit_bytes)
        self._stalled.labels(topology).set_function(stalled_for)

    def started(self, seconds: float) -> None:
        """Models are loaded and checked, after so long."""
        self._startup.set(seconds)

    def certificate(self, name: str, ends: Callable[[], float]) -> None:
        """A certificate is in use (`ca`, `client`); `ends` is asked at every scrape."""
        self._certificate.labels(name).set_function(ends)

    def consumed(self, topology: str, records: int) -> None:
        """Records were polled."""
        self._consumed.labels(topology).inc(records)

    def predictions(self, topology: str, step: str, model: str, version: str, count: int) -> None:
        """Answers of one step were acknowledged."""
        self._predictions.labels(topology, step, model, version).inc(count)

    def deadletters(self, topology: str, stage: str, reason: str, count: int = 1) -> None:
        """Dead letters were acknowledged."""
        self._deadletters.labels(topology, stage, reason).inc(count)

    def dropped(self, topology: str, count: int) -> None:
        """Tombstones were passed over."""
        self._dropped.labels(topology).inc(count)

    def recalled(self, topology: str, count: int) -> None:
        """Records were answered as others with the same value before."""
        self._recalled.labels(topology).inc(count)

    def skipped(self, topology: str, topic: str, records: int) -> None:
        """Records were gone before they could be read."""
        self._skipped.labels(topology, topic).inc(records)

    def records_done(self, topology: str, seconds: ArrayLike) -> None:
        """Records were acknowledged, each so long after its poll."""
        self.record_durations.add(topology, seconds)

    def batch_ran(  # noqa: PLR0913 - one event
        self,
        topology: str,
        step: str,
        *,
        model: str,
        version: str,
        items: int,
        seconds: float,
        waste: float,
        reason: str,
    ) -> None:
        """A session ran a batch; `waste` is the share of padding, `reason` why it was closed."""
        self._batch_items.labels(topology, step, reason).observe(items)
        self._batch_waste.labels(topology, step).observe(waste)
        self._inference.labels(topology, step, model, version).observe(seconds)

    def queued(self, topology: str, stage: str, seconds: float) -> None:
        """A wave waited before a stage."""
        self._queue.labels(topology, stage).observe(seconds)

    def stage_ran(self, topology: str, stage: str, seconds: float) -> None:
        """A stage worked on a wave."""
        self._stage.labels(topology, stage).observe(seconds)

    def in_flight(self, topology: str, records: int, size_bytes: int) -> None:
        """So much is in the line now."""
        self._in_flight_records.labels(topology).set(records)
        self._in_flight_bytes.labels(topology).set(size_bytes)

    def lag(
        self,
        topology: str,
        records: Mapping[TopicPartition, int],
        seconds: Mapping[TopicPartition, float] | None = None,
    ) -> None:
        """So much is behind, in every partition that is ours; others are forgotten."""
        self._assigned.labels(topology).set(len(records))
        for family, values in ((self._lag_records, records), (self._lag_seconds, seconds or {})):
            for at, value in values.items():
                family.labels(topology, at.topic, at.partition).set(value)
            known = self._lagging.setdefault((family, topology), set())
            for gone in known - set(values):
                family.remove(topology, gone.topic, gone.partition)
            self._lagging[family, topology] = set(values)

    def paused(self, topology: str, partitions: int) -> None:
        """So many partitions are paused now."""
        self._paused.labels(topology).set(partitions)

    def committed(self, topology: str) -> None:
        """Positions were committed."""
        self._commits.labels(topology).inc()

    def transaction(self, topology: str, outcome: str) -> None:
        """A transaction ended: `committed` or `aborted`."""
        self._transactions.labels(topology, outcome).inc()

    def rebalanced(self, topology: str) -> None:
        """Partitions were assigned anew."""
        self._rebalances.labels(topology).inc()

    def model(self, name: str, version: str, task: str) -> None:
        """A version is in service; the one before it is not any more."""
        labels = (name, version, task)
        self._model_info.labels(*labels).set(1)
        for family in (self._swaps, self._swap_failures):
            family.labels(name)
        before = self._serving.get(name, labels)
        if before != labels:
            self._model_info.remove(*before)
            self._swaps.labels(name).inc()
            # Waves of the version before may still be in the line; the one before that is gone.
            gone = self._replaced.get(name)
            self._replaced[name] = before[1]
            if gone not in (None, version):
                self._forget_version(name, str(gone))
        self._serving[name] = labels

    def _forget_version(self, model: str, version: str) -> None:
        for family in (self._predictions, self._inference):
            family.remove_by_labels({"model": model, "version": version})

    def swap_failed(self, model: str) -> None:
        """A version was to serve and could not be loaded; the one before it goes on."""
        self._swap_failures.labels(model).inc()

    def sessions(self, model: str, places: Iterable[tuple[str, str]]) -> None:
        """A model's sessions run there now: each one's device and provider."""
        counts = Counter(places)
        for gone in self._session_places.get(model, set()) - counts.keys():
            self._session_info.remove(model, *gone)
        for place, count in counts.items():
            self._session_info.labels(model, *place).set(count)
        self._session_places[model] = set(counts)

    def session_nodes(self, model: str, nodes: Mapping[str, int]) -> None:
        """A model's graph was laid out; where nothing is told of it, there are no nodes."""
        self._session_nodes.remove_by_labels({"model": model})
        for provider, count in nodes.items():
            self._session_nodes.labels(model, provider).set(count)

    def device_fallback(self, model: str, wanted: str) -> None:
        """A model runs elsewhere than asked for."""
        self._fallbacks.labels(model, wanted).inc()

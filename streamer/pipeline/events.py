"""What a line tells of itself: counts for `/status` and the demo, and metrics."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import Any, Protocol

import numpy as np
import structlog

from streamer.pipeline.model import ModelVersion
from streamer.records import Item, TopicPartition, Wave, parent_ids
from streamer.telemetry import Metrics

_RATE_OVER_S = 10.0


@dataclass
class Counts:
    """Counts since the start of one line."""

    consumed: int = 0
    answered: int = 0
    dropped: int = 0
    deadletters: Counter[tuple[str, str]] = field(default_factory=Counter)
    skipped: int = 0
    paused_partitions: int = 0
    lag: dict[TopicPartition, int] = field(default_factory=dict)
    batches: Counter[str] = field(default_factory=Counter)
    batch_items: Counter[str] = field(default_factory=Counter)

    @property
    def done(self) -> int:
        """Records that have left the line."""
        return self.answered + self.dropped + sum(self.deadletters.values())


class Watcher(Protocol):
    """Who else learns of batches and waves: rollouts do, to compare versions."""

    def ran(self, version: ModelVersion, items: int, seconds: float) -> None:
        """A batch was run that is to be compared with those of another version."""

    def settled(self, topology: str, wave: Wave) -> None:
        """A wave was acknowledged whole; it still has its versions."""


class LineEvents:
    """Counts one topology's events; called from several threads, once a wave or a batch."""

    def __init__(self, topology: str, metrics: Metrics, watcher: Watcher | None = None) -> None:
        self._topology = topology
        self._watcher = watcher
        self._metrics = metrics
        self._lock = Lock()
        self._log = structlog.get_logger("line")
        self._recent: deque[tuple[float, int]] = deque()
        self._answered: dict[TopicPartition, int] = {}
        self.counts = Counts()
        metrics.paused(topology, 0)

    def consumed(self, records: int) -> None:
        """Records entered the line."""
        with self._lock:
            self.counts.consumed += records
        self._metrics.consumed(self._topology, records)

    def paused(self, partitions: int) -> None:
        """So many partitions are paused now."""
        self.counts.paused_partitions = partitions
        self._metrics.paused(self._topology, partitions)

    def ends(
        self, ends: Mapping[TopicPartition, int], behind_s: Mapping[TopicPartition, float]
    ) -> None:
        """The partitions that are ours end there; lag counts what is not answered yet."""
        with self._lock:
            lag = {p: max(end - self._answered.get(p, end), 0) for p, end in ends.items()}
            self.counts.lag = lag
        self._metrics.lag(self._topology, lag, behind_s)

    def begins(self, partition: TopicPartition, position: int) -> None:
        """A partition is read from there on."""
        with self._lock:
            self._answered[partition] = position

    def committed(self) -> None:
        """Positions were committed."""
        self._metrics.committed(self._topology)

    def transaction(self, outcome: str) -> None:
        """A transaction was committed or aborted."""
        self._metrics.transaction(self._topology, outcome)

    def rebalanced(self) -> None:
        """Partitions were assigned."""
        self._metrics.rebalanced(self._topology)

    def skipped(self, partition: TopicPartition, records: int) -> None:
        """Records were lost to retention."""
        with self._lock:
            self.counts.skipped += records
        self._metrics.skipped(self._topology, partition.topic, records)

    def batch_ran(  # noqa: PLR0913 - one event
        self,
        *,
        step: str,
        model: ModelVersion,
        items: int,
        waste: float,
        seconds: float,
        reason: str,
        timed: bool,
    ) -> None:
        """A batch was run."""
        with self._lock:
            self.counts.batches[step] += 1
            self.counts.batch_items[step] += items
        self._metrics.batch_ran(
            self._topology,
            step,
            model=model.name,
            version=model.version_name,
            items=items,
            seconds=seconds,
            waste=waste,
            reason=reason,
        )
        if timed and self._watcher is not None:
            self._watcher.ran(model, items, seconds)

    def staged(self, stage: str, queued: float, worked: float) -> None:
        """A wave waited before a stage and was worked on by it."""
        self._metrics.queued(self._topology, stage, queued)
        self._metrics.stage_ran(self._topology, stage, worked)

    def published(self, wave: Wave, in_flight_bytes: int) -> None:
        """A wave was acknowledged whole."""
        answers: Counter[tuple[str, str, str]] = Counter()
        letters: Counter[tuple[str, str]] = Counter()
        dropped = 0
        items = wave.items
        for item in items:
            if item.rejection is not None:
                letters[item.rejection.stage, item.rejection.reason] += 1
            elif item.dropped:
                dropped += 1
            else:
                for step, answer in item.answers.items():
                    answers[step, answer.model, answer.version] += 1
        with self._lock:
            self.counts.answered += len(items) - sum(letters.values()) - dropped
            self.counts.deadletters.update(letters)
            self.counts.dropped += dropped
            self._answered.update(wave.positions)
            self._recent.append((monotonic(), len(items)))
            self._forget_old()
            in_flight = self.counts.consumed - self.counts.done
        for (step, model, version), count in answers.items():
            self._metrics.predictions(self._topology, step, model, version, count)
        for (stage, reason), count in letters.items():
            self._metrics.deadletters(self._topology, stage, reason, count)
        if letters:
            first = next(item for item in items if item.rejection is not None)
            self._tell(letters, first)
        self._metrics.recalled(self._topology, sum(item.recalled for item in items))
        if dropped:
            self._metrics.dropped(self._topology, dropped)
        self._metrics.records_done(self._topology, np.full(len(items), monotonic() - wave.born))
        self._metrics.in_flight(self._topology, in_flight, in_flight_bytes)
        if self._watcher is not None:
            self._watcher.settled(self._topology, wave)

    def _forget_old(self) -> None:
        while self._recent and self._recent[0][0] < monotonic() - _RATE_OVER_S:
            self._recent.popleft()

    def _tell(self, letters: Counter[tuple[str, str]], first: Item) -> None:
        """Log a wave's dead letters in one line, with the first of them as the example."""
        self._log.warning(
            "dead letters",
            topology=self._topology,
            topic=first.record.topic,
            partition=first.record.partition,
            offset=first.record.offset,
            count=sum(letters.values()),
            reasons={f"{stage}/{reason}": count for (stage, reason), count in letters.items()},
            first=first.rejection.message if first.rejection else "",
            **(first.trace.ids if first.trace else parent_ids(first.record.headers)),
        )

    def status(self) -> dict[str, Any]:
        """Give the counts as plain values."""
        with self._lock:
            counts = self.counts
            self._forget_old()
            return {
                "records_per_second": sum(count for _, count in self._recent) / _RATE_OVER_S,
                "records_consumed": counts.consumed,
                "records_answered": counts.answered,
                "records_dropped": counts.dropped,
                "records_in_flight": counts.consumed - counts.done,
                "deadletters": {
                    f"{stage}/{reason}": number
                    for (stage, reason), number in counts.deadletters.items()
                },
                "records_skipped": counts.skipped,
                "paused_partitions": counts.paused_partitions,
                "lag_records": {str(p): n for p, n in counts.lag.items()},
                "batches": dict(counts.batches),
                "batch_items_mean": {
                    step: counts.batch_items[step] / number
                    for step, number in counts.batches.items()
                },
                "record_duration_seconds": self._metrics.record_durations.percentiles(
                    self._topology
                ),
            }

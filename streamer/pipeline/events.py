"""What a line tells of itself, as counts for `/status` and the demo, and as metrics."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import Any

from streamer.pipeline.model import Model
from streamer.records import TopicPartition, Wave

_KEPT_DURATIONS = 10_000


@dataclass
class Counts:
    """Counts since the start of one line."""

    consumed: int = 0
    answered: int = 0
    dropped: int = 0
    deadletters: Counter[tuple[str, str]] = field(default_factory=Counter)
    commits: int = 0
    skipped: int = 0
    paused_partitions: int = 0
    lag: dict[TopicPartition, int] = field(default_factory=dict)
    batches: Counter[str] = field(default_factory=Counter)
    batch_items: Counter[str] = field(default_factory=Counter)
    durations: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT_DURATIONS))


class LineEvents:
    """Counts one topology's events; called from several threads, once a wave or a batch."""

    def __init__(self, topology: str) -> None:
        self._topology = topology
        self._lock = Lock()
        self.counts = Counts()

    def consumed(self, records: int) -> None:
        """Records entered the line."""
        with self._lock:
            self.counts.consumed += records

    def paused(self, partitions: int) -> None:
        """So many partitions are paused now."""
        self.counts.paused_partitions = partitions

    def lag(self, records: Mapping[TopicPartition, int]) -> None:
        """So many records are behind, by partition."""
        self.counts.lag = dict(records)

    def committed(self) -> None:
        """Positions were committed."""
        with self._lock:
            self.counts.commits += 1

    def skipped(self, partition: TopicPartition, records: int) -> None:
        """Records were lost to retention."""
        del partition
        with self._lock:
            self.counts.skipped += records

    def batch_ran(  # noqa: PLR0913 - one event
        self, *, step: str, model: Model, items: int, waste: float, seconds: float, reason: str
    ) -> None:
        """A batch was run."""
        del model, waste, seconds, reason
        with self._lock:
            self.counts.batches[step] += 1
            self.counts.batch_items[step] += items

    def published(self, wave: Wave, now: float) -> None:
        """A wave was acknowledged whole."""
        del now
        took = monotonic() - wave.born
        with self._lock:
            for item in wave.items:
                if item.rejection is not None:
                    self.counts.deadletters[item.rejection.stage, item.rejection.reason] += 1
                elif item.dropped:
                    self.counts.dropped += 1
                else:
                    self.counts.answered += 1
                self.counts.durations.append(took)

    def status(self) -> dict[str, Any]:
        """Give the counts as plain values."""
        with self._lock:
            counts = self.counts
            return {
                "records_consumed": counts.consumed,
                "records_answered": counts.answered,
                "records_dropped": counts.dropped,
                "deadletters": {
                    f"{stage}/{reason}": number
                    for (stage, reason), number in counts.deadletters.items()
                },
                "records_skipped": counts.skipped,
                "paused_partitions": counts.paused_partitions,
                "lag_records": {f"{p.topic}/{p.partition}": n for p, n in counts.lag.items()},
                "batches": dict(counts.batches),
                "batch_items_mean": {
                    step: counts.batch_items[step] / number
                    for step, number in counts.batches.items()
                },
                "record_duration_seconds": percentiles(list(counts.durations)),
            }


def percentiles(values: list[float]) -> dict[str, float]:
    """Give p50, p95 and p99 of some values; nothing of none."""
    ordered = sorted(values)
    if not ordered:
        return {}
    last = len(ordered) - 1
    return {f"p{p}": ordered[round(last * p / 100)] for p in (50, 95, 99)}

"""What looks at processes add up to: rates, percentiles, lag, batches. Pure functions."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from streamer.dashboard.scrape import Key, Scrape, growth

RATE_OVER_S = 10.0
PERCENTILES = (50, 95, 99)
_SMALL = 1e-9
_JUST_COME_S = 2.0

Looks = Sequence[Scrape]
"""What one process told, oldest first, over about a minute."""


@dataclass(frozen=True)
class Lag:
    """How far a topology is behind.

    Attributes:
        records: behind, and `seconds`: age of the oldest of them.
        drain_s: until none is left if it goes on so; None while it does not get less.
        keeps_up: whether what is behind has only just come.
    """

    records: float
    seconds: float
    drain_s: float | None
    keeps_up: bool
    partitions: Sequence[Mapping[str, Any]]


def rates(processes: Iterable[Looks], name: str, *labels: str, **only: str) -> dict[Key, float]:
    """Tell how fast counters grow, each second, over the last ten, of all processes together."""
    found: dict[Key, float] = defaultdict(float)
    for recent, span in _lately(processes):
        for key, grown in growth(recent, name, *labels, **only).items():
            found[key] += grown / span
    return dict(found)


def _lately(processes: Iterable[Looks]) -> Iterator[tuple[Looks, float]]:
    """Give each process's looks of the last ten seconds, and the seconds between them."""
    for looks in processes:
        recent = [one for one in looks if one.at >= looks[-1].at - RATE_OVER_S - 1]
        span = recent[-1].at - recent[0].at
        if span > 0:
            yield recent, span


def totals(processes: Iterable[Looks], name: str, *labels: str, **only: str) -> dict[Key, float]:
    """Add up what a metric shows now, of all processes."""
    found: dict[Key, float] = defaultdict(float)
    for looks in processes:
        for key, value in looks[-1].by(name, *labels, **only).items():
            found[key] += value
    return dict(found)


def percentiles(processes: Sequence[Looks], name: str, **only: str) -> dict[str, float]:
    """Estimate percentiles of a histogram over the last minute, as Prometheus does.

    Returns:
        `p50` and so on; nothing if nothing was counted.
    """
    counts: dict[float, float] = defaultdict(float)
    for looks in processes:
        for (bound,), grown in growth(looks, f"{name}_bucket", "le", **only).items():
            counts[float(bound)] += grown
    edges = sorted(counts)
    if not edges or counts[edges[-1]] < 1:
        return {}
    return {f"p{share}": _quantile(edges, counts, share / 100) for share in PERCENTILES}


def _quantile(edges: Sequence[float], counts: Mapping[float, float], share: float) -> float:
    """Find where a share of the counts is reached, straight between two bounds."""
    wanted = counts[edges[-1]] * share
    low, below = 0.0, 0.0
    for edge in edges:
        if counts[edge] >= wanted:
            if edge == inf:
                return low
            within = counts[edge] - below
            return low + (edge - low) * ((wanted - below) / within if within else 1.0)
        low, below = edge, counts[edge]
    return low


def means(processes: Sequence[Looks], name: str, *labels: str, **only: str) -> dict[Key, float]:
    """Give a histogram's means over the last minute, by labels; none where nothing was counted."""
    sums: dict[Key, float] = defaultdict(float)
    counts: dict[Key, float] = defaultdict(float)
    for looks in processes:
        for key, grown in growth(looks, f"{name}_sum", *labels, **only).items():
            sums[key] += grown
        for key, grown in growth(looks, f"{name}_count", *labels, **only).items():
            counts[key] += grown
    return {key: sums[key] / count for key, count in counts.items() if count}


def lag(processes: Sequence[Looks], topology: str) -> Lag:
    """Tell how far a topology is behind, and how long it takes to catch up."""
    at = ("topic", "partition")
    records = totals(processes, "consumer_lag_records", *at, topology=topology)
    seconds = totals(processes, "consumer_lag_seconds", *at, topology=topology)
    behind = sum(records.values())
    table = [
        {
            "partition": f"{topic}/{partition}",
            "records": records[topic, partition],
            "seconds": seconds.get((topic, partition), 0.0),
        }
        for topic, partition in sorted(records, key=lambda key: (key[0], int(key[1] or 0)))
    ]
    oldest = max(seconds.values(), default=0.0)
    drain_s = _drain(processes, topology, behind)
    return Lag(behind, oldest, drain_s, behind < 1 or oldest < _JUST_COME_S, table)


def _drain(processes: Sequence[Looks], topology: str, behind: float) -> float | None:
    """Tell when no record is left, by how fast their number fell lately."""
    if behind < 1:
        return 0.0
    falls = 0.0
    for recent, span in _lately(processes):
        first, last = (
            sum(one.by("consumer_lag_records", topology=topology).values())
            for one in (recent[0], recent[-1])
        )
        falls += (first - last) / span
    return behind / falls if falls > _SMALL else None


def topology_figures(processes: Sequence[Looks], name: str) -> dict[str, Any]:
    """Put together what the page shows of a topology; the processes are those that run it."""
    only = {"topology": name}
    stage_reason = totals(processes, "deadletters_total", "stage", "reason", **only)
    behind = lag(processes, name)
    return {
        "consumed_per_s": _only(rates(processes, "records_consumed_total", **only)),
        "done_per_s": _only(rates(processes, "record_duration_seconds_count", **only)),
        "dead_per_s": _only(rates(processes, "deadletters_total", **only)),
        "consumed": _only(totals(processes, "records_consumed_total", **only)),
        "done": _only(totals(processes, "record_duration_seconds_count", **only)),
        "dead": sum(stage_reason.values()),
        "deadletters": {f"{stage}/{reason}": n for (stage, reason), n in stage_reason.items()},
        "in_flight": _only(totals(processes, "in_flight_records", **only)),
        "in_flight_bytes": _only(totals(processes, "in_flight_bytes", **only)),
        "paused": _only(totals(processes, "paused_partitions", **only)),
        "rebalances": _only(totals(processes, "rebalances_total", **only)),
        "lag_records": behind.records,
        "lag_seconds": behind.seconds,
        "drain_s": behind.drain_s,
        "keeps_up": behind.keeps_up,
        "partitions": behind.partitions,
        "latency": percentiles(processes, "record_duration_seconds", **only),
        "stages": _stages(processes, name),
    }


def step_figures(processes: Sequence[Looks], topology: str, step: str) -> dict[str, Any]:
    """Put together what the page shows of a step."""
    only = {"topology": topology, "step": step}
    closed = rates(processes, "batch_items_count", "reason", **only)
    batches = sum(closed.values())
    return {
        "answers_per_s": _only(rates(processes, "predictions_total", **only)),
        "versions_per_s": {
            version: rate
            for (version,), rate in rates(processes, "predictions_total", "version", **only).items()
        },
        "answers": _only(totals(processes, "predictions_total", **only)),
        "batches_per_s": batches,
        "batch_items": means(processes, "batch_items", **only).get(()),
        "full_share": closed.get(("full",), 0.0) / batches if batches else None,
        "padding": means(processes, "batch_padding_ratio", **only).get(()),
        "inference": percentiles(processes, "inference_duration_seconds", **only),
    }


def sessions(processes: Iterable[Looks]) -> list[dict[str, Any]]:
    """Tell which models run where."""
    found = totals(processes, "session_info", "model", "device", "provider")
    return [
        {"model": model, "device": device, "provider": provider, "sessions": int(number)}
        for (model, device, provider), number in sorted(found.items())
    ]


def accuracies(processes: Iterable[Looks]) -> list[dict[str, Any]]:
    """Tell how versions fare by their labels, as the sidecars know it."""
    found: dict[Key, dict[str, Any]] = {}
    names = {
        "live_accuracy_ratio": "accuracy",
        "live_reviewed_accuracy_ratio": "reviewed",
        "live_label_coverage_ratio": "coverage",
        "live_labelled_records": "labelled",
    }
    for metric, name in names.items():
        shown = {
            key: value
            for looks in processes
            for key, value in looks[-1].by(metric, "step", "model", "version").items()
        }
        for key, value in shown.items():  # one sidecar works on a model: nothing is added up
            told = found.setdefault(key, dict(zip(("step", "model", "version"), key, strict=True)))
            told[name] = None if value != value else value  # noqa: PLR0124 - not a number
    return [found[key] for key in sorted(found)]


def _stages(processes: Sequence[Looks], topology: str) -> list[dict[str, Any]]:
    only = {"topology": topology}
    waited = means(processes, "queue_duration_seconds", "stage", **only)
    worked = means(processes, "stage_duration_seconds", "stage", **only)
    return [
        {"stage": stage, "waited": waited.get((stage,)), "worked": seconds}
        for (stage,), seconds in worked.items()
    ]


def _only(found: Mapping[Key, float]) -> float:
    return found.get((), 0.0)

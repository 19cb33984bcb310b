"""Many durations at once, in little memory: a Prometheus histogram that also knows percentiles."""

from collections.abc import Iterator, Sequence
from threading import Lock

import numpy as np
from numpy.typing import ArrayLike, NDArray
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

# What Prometheus is told, in seconds: from an idle line's answer to a backlog's.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
# Percentiles come from finer buckets: neighbouring edges are 4% apart, so an answer is within 2%.
_FINE = np.geomspace(1e-5, 1e5, 588)
_EDGES: NDArray[np.float64] = np.union1d(_FINE, BOUNDS)
_AT_BOUNDS = np.searchsorted(_EDGES, BOUNDS)


class DurationCounts:
    """How often which duration came; not locked by itself."""

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(len(_EDGES) + 1, np.int64)
        self.sum_s = 0.0
        self.longest_s = 0.0

    def add(self, seconds: ArrayLike) -> None:
        """Count durations."""
        values = np.asarray(seconds, np.float64).ravel()
        if not values.size:
            return
        # An edge belongs to the bucket below it: Prometheus counts what is at most a bound.
        places = np.searchsorted(_EDGES, values, side="left")
        self.counts += np.bincount(places, minlength=len(self.counts))
        self.sum_s += float(values.sum())
        self.longest_s = max(self.longest_s, float(values.max()))

    def percentiles(self, shares: Sequence[int]) -> dict[str, float]:
        """Give the durations that so many percent do not exceed, as p50 and so on."""
        total = int(self.counts.sum())
        if not total:
            return {}
        reached = np.cumsum(self.counts)
        found = {}
        for share in shares:
            place = int(np.searchsorted(reached, total * share / 100, side="left"))
            upper = _EDGES[min(place, len(_EDGES) - 1)]
            found[f"p{share}"] = round(min(float(upper), self.longest_s), 6)
        return found

    def buckets(self) -> list[tuple[str, float]]:
        """Give Prometheus' cumulative buckets."""
        reached = np.cumsum(self.counts)
        told = [
            (str(bound), float(reached[at])) for bound, at in zip(BOUNDS, _AT_BOUNDS, strict=True)
        ]
        return [*told, ("+Inf", float(reached[-1]))]


class Durations(Collector):
    """A family of durations, one histogram for each value of one label.

    prometheus_client's own histogram takes one value at a time; records finish by the thousand.
    """

    def __init__(self, name: str, documentation: str, label: str) -> None:
        self._name = name
        self._documentation = documentation
        self._label = label
        self._lock = Lock()
        self._counts: dict[str, DurationCounts] = {}

    def add(self, label: str, seconds: ArrayLike) -> None:
        """Count durations."""
        with self._lock:
            self._counts.setdefault(label, DurationCounts()).add(seconds)

    def percentiles(self, label: str, shares: Sequence[int] = (50, 95, 99)) -> dict[str, float]:
        """Give percentiles since the start, in seconds; nothing if nothing was counted."""
        with self._lock:
            counts = self._counts.get(label)
            return counts.percentiles(shares) if counts else {}

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Give the family the way Prometheus reads it."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=[self._label])
        with self._lock:
            for label, counts in self._counts.items():
                family.add_metric([label], counts.buckets(), counts.sum_s)
        yield family

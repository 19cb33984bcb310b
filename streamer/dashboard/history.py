"""Figures over the last quarter of an hour, for charts."""

from collections import deque
from collections.abc import Mapping
from threading import Lock
from typing import Any

KEPT = 450
SERIES = ("consumed_per_s", "done_per_s", "dead_per_s", "lag_records", "lag_seconds", "in_flight")
LATENCIES = ("p50", "p95", "p99")


class History:
    """Keeps the last points of each topology; a point that is missing is a gap in the chart."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._points: dict[str, deque[list[float | None]]] = {}

    def add(self, at: float, topologies: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep one look's figures.

        Args:
            at: when, in seconds since 1970.
            topologies: figures by name; of one without living processes nothing is kept.
        """
        with self._lock:
            for name, told in topologies.items():
                points = self._points.setdefault(name, deque(maxlen=KEPT))
                figures: list[float | None] = [None] * (len(SERIES) + len(LATENCIES))
                if not told.get("stale"):
                    figures = [told[series] for series in SERIES]
                    figures += [told["latency"].get(share) for share in LATENCIES]
                points.append([round(at, 2), *figures])

    def since(self, at: float) -> dict[str, list[list[float | None]]]:
        """Give the points after a moment; each begins with its time."""
        with self._lock:
            return {
                name: [point for point in points if point[0] is not None and point[0] > at]
                for name, points in self._points.items()
            }

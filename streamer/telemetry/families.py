"""Families of metrics, made and remembered: the reference page lists what was made."""

from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from streamer.telemetry.durations import Durations

_PREFIX = "streamer_"
Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True)
class Family:
    """What the reference page tells of a family; `name` is what queries ask for."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    text: str

    @property
    def series(self) -> tuple[str, ...]:
        """The names its samples have at `/metrics`."""
        if self.kind != "histogram":
            return (self.name,)
        return tuple(f"{self.name}_{part}" for part in ("bucket", "count", "sum"))


class Families:
    """Makes families in a registry; names are given without the prefix `streamer_`.

    Attributes:
        made: every family so far, in the order of the making.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.made: list[Family] = []

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """Make a counter; its series' name ends in `_total`."""
        self._note(f"{name}_total", "counter", labels, text)
        return Counter(_PREFIX + name, text, labels, registry=self._registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """Make a gauge."""
        self._note(name, "gauge", labels, text)
        return Gauge(_PREFIX + name, text, labels, registry=self._registry)

    def histogram(
        self, name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]
    ) -> Histogram:
        """Make a histogram with fixed buckets."""
        self._note(name, "histogram", labels, text)
        return Histogram(_PREFIX + name, text, labels, registry=self._registry, buckets=buckets)

    def durations(self, name: str, text: str, label: str) -> Durations:
        """Make a histogram of durations that takes many values at once."""
        self._note(name, "histogram", (label,), text)
        made = Durations(_PREFIX + name, text, label)
        self._registry.register(made)
        return made

    def _note(self, name: str, kind: Kind, labels: tuple[str, ...], text: str) -> None:
        self.made.append(Family(_PREFIX + name, kind, labels, text))

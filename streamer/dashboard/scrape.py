"""What a process tells over HTTP at one moment: its metrics and its status."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from time import monotonic
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from prometheus_client.parser import text_string_to_metric_families

from streamer.errors import StreamerError

_TIMEOUT_S = 2.0
_MOST_BYTES = 16 * 2**20
_PREFIX = "streamer_"

Key = tuple[str, ...]


class SilentError(StreamerError):
    """A process does not tell what it is asked for."""


class _NoRedirects(HTTPRedirectHandler):
    """Addresses may come from a topic: whoever answers there must not send us elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        """Follow nothing."""


_OPENER = build_opener(_NoRedirects, ProxyHandler({}))  # daemons are near by


@dataclass(frozen=True)
class Scrape:
    """One look at a process.

    Attributes:
        at: when, by the monotonic clock.
        samples: by name without `streamer_`: labels and value of each series.
        status: what /status says.
    """

    at: float
    samples: Mapping[str, Sequence[tuple[Mapping[str, str], float]]]
    status: Mapping[str, Any] = field(default_factory=dict)

    def by(self, name: str, *labels: str, **only: str) -> dict[Key, float]:
        """Add up a metric's series by some of their labels.

        Args:
            name: of the metric, without `streamer_`.
            labels: that tell apart.
            only: series with these values of labels.
        """
        sums: dict[Key, float] = defaultdict(float)
        for told, value in self.samples.get(name, ()):
            if all(told.get(label) == wanted for label, wanted in only.items()):
                sums[tuple(told.get(label, "") for label in labels)] += value
        return dict(sums)


def scraped(url: str) -> Scrape:
    """Ask a process for its metrics and its status.

    Raises:
        SilentError: it does not answer, or with something else.
    """
    at = monotonic()
    metrics = _asked(f"{url}/metrics").decode("utf-8", "replace")
    try:
        status = json.loads(_asked(f"{url}/status"))
        return Scrape(at, parsed(metrics), status if isinstance(status, dict) else {})
    except ValueError as error:
        raise SilentError(f"{url} answers, but not as streamer does") from error


def parsed(metrics: str) -> dict[str, list[tuple[Mapping[str, str], float]]]:
    """Read Prometheus' text format; only what is streamer's own."""
    samples: dict[str, list[tuple[Mapping[str, str], float]]] = defaultdict(list)
    for family in text_string_to_metric_families(metrics):
        if family.name.startswith(_PREFIX):
            for sample in family.samples:
                samples[sample.name.removeprefix(_PREFIX)].append((sample.labels, sample.value))
    return dict(samples)


def growth(scrapes: Iterable[Scrape], name: str, *labels: str, **only: str) -> dict[Key, float]:
    """Tell by how much counters grew over several looks at one process.

    A counter that fell was begun anew by a restart: what it shows since then has been added.
    """
    grown: dict[Key, float] = defaultdict(float)
    before: dict[Key, float] | None = None
    for scrape in scrapes:
        now = scrape.by(name, *labels, **only)
        if before is not None:
            for key, value in now.items():
                was = before.get(key, 0.0)
                grown[key] += value - was if value >= was else value
        before = now
    return dict(grown)


def _asked(url: str) -> bytes:
    try:
        request = Request(url, headers={"accept": "text/plain, application/json"})  # noqa: S310
        with _OPENER.open(request, timeout=_TIMEOUT_S) as answer:
            told: bytes = answer.read(_MOST_BYTES)
            return told
    except HTTPError as error:
        error.close()
        raise SilentError(f"{url} answers {error.code}") from error
    except (OSError, HTTPException, ValueError) as error:  # or no address, or no HTTP behind it
        reason = getattr(error, "reason", error)
        raise SilentError(f"{url} does not answer: {reason}") from error

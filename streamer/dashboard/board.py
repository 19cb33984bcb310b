"""The whole board: what daemons, sidecars and topics tell, put together for page and terminal."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from threading import Lock
from time import time
from typing import Any, Self

from streamer.broker import Reader, wait_for_brokers
from streamer.config import Settings
from streamer.config.settings import KafkaSettings
from streamer.dashboard.figures import accuracies, sessions, step_figures, topology_figures
from streamer.dashboard.fleet import Deployed
from streamer.dashboard.history import LATENCIES, SERIES, History
from streamer.dashboard.results import Results
from streamer.dashboard.watch import Process, Watch, looks_of
from streamer.operate.opening import Opener


class Board:
    """Knows what there is to show, as long as it is entered as a context.

    Args:
        settings: where Kafka is, and how often daemons are asked.
        urls: of daemons and sidecars; those that the events topic names come on top.
        results: whether records are read too: predictions, originals and dead letters.
        clock: gives seconds since 1970.
    """

    def __init__(
        self,
        settings: Settings,
        urls: Sequence[str],
        *,
        results: bool = True,
        clock: Callable[[], float] = time,
    ) -> None:
        kafka = settings.kafka
        own = settings.dashboard
        self._clock = clock
        self._discovers = own.discover
        self._deployed = Deployed(settings)
        self._results = (
            Results(partial(_reader, kafka), Opener(settings).plain) if results else None
        )
        self._history = History()
        self._lock = Lock()
        self._last: dict[str, dict[str, Any]] = {}
        found = self._deployed.urls if own.discover else tuple
        self._watch = Watch(urls, own.interval, found, self._looked)
        self.interval = own.interval

    def __enter__(self) -> Self:
        self._deployed.start()
        if self._results is not None:
            self._results.start()
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.stop()
        self._deployed.stop()
        if self._results is not None:
            self._results.stop()

    @property
    def letter_topics(self) -> set[str]:
        """The topics of dead letters that are known."""
        return self._results.letter_topics if self._results is not None else set()

    def image(self, number: int) -> bytes | None:
        """Give a drawn picture as JPEG."""
        return self._results.image(number) if self._results is not None else None

    def state(self, since: float = 0.0) -> dict[str, Any]:
        """Give all that is shown.

        Args:
            since: of the charts only what is newer, in seconds since 1970.
        """
        processes = self._watch.processes()
        answering = [list(one.looks) for one in processes if one.error is None]
        with self._lock:
            topologies = dict(self._last)
        return {
            "at": self._clock(),
            "interval": self.interval,
            "daemons": [_daemon(one) for one in processes],
            "topologies": topologies,
            "sessions": sessions(answering),
            "accuracies": accuracies(answering),
            "rollouts": _rollouts(processes),
            "deployed": self._deployed.state(),
            "series": [*SERIES, *LATENCIES],
            "history": self._history.since(since),
            **(self._results.state() if self._results is not None else {}),
        }

    def _looked(self) -> None:
        """Work out figures after each look, keep them, and follow the topics that came up."""
        processes = self._watch.processes()
        topologies = {**self._gone(processes), **_topologies(processes)}
        with self._lock:
            self._last = topologies
        self._history.add(self._clock(), topologies)
        if self._results is not None:
            told = topologies.values()
            self._results.follow((t["sink"] for t in told), (t["deadletter"] for t in told))

    def _gone(self, processes: Iterable[Process]) -> dict[str, dict[str, Any]]:
        """Keep what was known of topologies that no daemon runs now, as far as we hear."""
        seen: dict[str, float] = {}
        for process in processes:
            for name in process.topologies:
                seen[name] = max(seen.get(name, 0.0), process.seen or 0.0)
        with self._lock:
            return {
                name: {**told, "stale": True, "seen": seen.get(name)}
                for name, told in self._last.items()
            }


def _reader(kafka: KafkaSettings) -> Reader:
    wait_for_brokers(kafka, give_up_after=0)  # says at once why they are not reached
    return Reader(kafka)


def _topologies(processes: Sequence[Process]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    names = {name for one in processes if one.error is None for name in one.topologies}
    for name in sorted(names):
        looks = looks_of(processes, name)
        told = [look[-1].status["topologies"][name] for look in looks]
        found[name] = {
            "stale": False,
            **{key: told[0].get(key) for key in ("delivery", "group", "sink", "deadletter")},
            "topics": list(told[0].get("topics", [])),
            "daemons": len(looks),
            "assignment": sum(len(one.get("assignment", [])) for one in told),
            **topology_figures(looks, name),
            "steps": [
                {"name": step, **about, **step_figures(looks, name, step)}
                for step, about in told[0].get("steps", {}).items()
            ],
        }
    return found


def _daemon(process: Process) -> dict[str, Any]:
    return {
        "url": process.url,
        "name": process.name,
        "error": process.error,
        "seen": process.seen,
        "topologies": sorted(process.topologies),
        "sidecar": _is_sidecar(process),
    }


def _is_sidecar(process: Process) -> bool:
    return "works" in process.status


def _rollouts(processes: Iterable[Process]) -> list[dict[str, Any]]:
    """Gather what daemons tell of candidates that they compare."""
    found: list[dict[str, Any]] = []
    for process in processes:
        told = process.status.get("rollouts")
        if process.error is None and isinstance(told, Mapping):
            found += [
                {"daemon": process.name, "model": model, "told": about}
                for model, about in sorted(told.items())
            ]
    return found

"""What a daemon does about its registered models: it serves what is deployed, and says so."""

from collections.abc import Callable, Iterable
from threading import Condition, Event, Thread
from time import monotonic
from typing import Any
from uuid import uuid4

import structlog

from streamer.broker import backoff
from streamer.config import Settings
from streamer.deployments import ChangedMeanwhileError, Deployment, Ledger, promoting
from streamer.deployments.deployment import now
from streamer.deployments.events import Report, Serves, Swapped, stand_in
from streamer.deployments.follower import Follower, Reporter
from streamer.deployments.rollout import KeySplit, Rollout
from streamer.errors import BrokerError, DownloadError, StreamerError
from streamer.pipeline.inventory import tell_models
from streamer.pipeline.model import Models
from streamer.pipeline.step import Step
from streamer.pipeline.swaps import Candidate, StoppedError, Swaps
from streamer.telemetry import Metrics

_TRY_AGAIN_S = 15.0

Watch = Callable[[str, Deployment, str | None], None]
"""Told when a deployment is served; and if its candidate is not, why."""


class Serving:
    """Follows the deployments from a thread of its own, and reports to the fleet.

    A version that can't be fetched just now is tried again; one that fails stays out until
    something else is deployed, and what served before serves on.

    Args:
        settings: of the process.
        models: of the process.
        metrics: told of swaps.
        topologies: names of what runs here.
    """

    def __init__(
        self, settings: Settings, models: Models, metrics: Metrics, topologies: Iterable[str]
    ) -> None:
        self._settings = settings
        self._models = models
        self._metrics = metrics
        self._topologies = sorted(topologies)
        self._log = structlog.get_logger("serving")
        self._ledger = Ledger(settings)
        self._follower = Follower(settings)
        self._stopping = Event()
        self._changed = Condition()
        self._pending: dict[str, Deployment] = {}
        self._again: dict[str, tuple[float, Deployment]] = {}
        self._served: dict[str, set[str]] = {}
        self._last: dict[str, Deployment] = {}
        self._states: dict[str, Serves] = {}
        self._stand_ins: dict[str, tuple[str | None, bool]] = {}
        self._swaps = Swaps(models, (), stopping=self._stopping.is_set)
        self.watch: Watch = lambda _name, _deployment, _failed: None
        self.url: str | None = None
        self.daemon = f"{settings.instance}/{uuid4().hex[:6]}"
        self.reporter = Reporter(settings, self.daemon, self._report)
        self._thread = Thread(target=self._run, name="swap", daemon=True)

    @property
    def deployed(self) -> dict[str, Deployment]:
        """What is deployed, as far as it is known here."""
        return self._follower.deployed

    def first(self, stopping: Event) -> None:
        """Write down what this daemon took, of models of which nothing was deployed yet.

        The newest version served at the first start serves until somebody promotes another:
        what is added to the registry later never comes into service by a restart. A Kafka that
        does not take it just now is asked again, as long as it takes.
        """
        for model in self._models:
            name, tries = model.registered, 0
            while name is not None and name not in self.deployed and not stopping.is_set():
                try:
                    self._first(name, model.champion.version_name)
                except BrokerError as error:
                    self._log.warning("what serves cannot be written down", error=str(error))
                    if not error.retriable:
                        break
                    tries += 1
                    stopping.wait(backoff(tries))

    def _first(self, name: str, version: str) -> None:
        wanted = promoting(version, by=self.daemon, reason="the newest at the first start")

        def unless(found: Deployment | None) -> Deployment:
            if found is not None:
                raise ChangedMeanwhileError(f"{name}: deployed meanwhile by {found.by}")
            return wanted(None)

        try:
            self.deployed[name] = self._ledger.change(name, "first", unless)
        except ChangedMeanwhileError as error:
            self._log.info("another daemon was first", reason=str(error))
            self.deployed.update(self._ledger.read())

    def stand_in(self, name: str) -> tuple[str | None, bool]:
        """Find what serves of a model where the deployed version does not, and whether that did."""
        if name not in self._stand_ins:
            try:
                swaps = [one for one in self._ledger.swaps() if one.model == name]
            except BrokerError as error:
                self._log.warning("what became of swaps cannot be read", error=str(error))
                swaps = []
            self._stand_ins[name] = stand_in(swaps, self.deployed[name])
        return self._stand_ins[name]

    def refused(self, name: str, version: str, error: StreamerError) -> None:
        """Tell the fleet why this daemon, which has nothing to serve, ends at its start."""
        try:
            self._ledger.note(self._event(name, version, "", outcome="failed", reason=str(error)))
        except BrokerError as unsent:
            self._log.warning("the fleet cannot be told", error=str(unsent))

    def start(self, steps: Iterable[Step]) -> None:
        """Serve all that is deployed, then follow it; returns when the first is done."""
        beside = self._settings.models.swap == "beside"
        self._swaps = Swaps(self._models, steps, beside=beside, stopping=self._stopping.is_set)
        for model in self._models:
            if model.registered is not None:
                self._served.setdefault(model.registered, set()).add(model.champion.version_name)
        for name, deployment in self.deployed.items():
            self._note(name, deployment)
        self._follower.start(self._note)  # from here on changes come, each after what it changes
        while (one := self._next(0)) is not None:
            self._serve(*one)
        self.reporter.start()
        self._thread.start()

    def stop(self) -> None:
        """Swap nothing any more, and tell the fleet that this daemon is gone."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()
            self.reporter.stop()
        self._follower.stop()

    def status(self) -> dict[str, object]:
        """Give what is served of registered models, as plain values."""
        return {name: state.model_dump() for name, state in self._states.items()}

    def _note(self, name: str, deployment: Deployment) -> None:
        if self._models.following(name):
            with self._changed:
                self._pending[name] = deployment
                self._again.pop(name, None)
                self._changed.notify_all()

    def _next(self, patience: float) -> tuple[str, Deployment] | None:
        """Take what is to be served next, if anything comes within so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._stopping.is_set(), patience)
            due = [name for name, (at, _) in self._again.items() if at <= monotonic()]
            for name in due:
                self._pending.setdefault(name, self._again.pop(name)[1])
            if self._stopping.is_set() or not self._pending:
                return None
            name = next(iter(self._pending))
            return name, self._pending.pop(name)

    def _run(self) -> None:
        while not self._stopping.is_set():
            one = self._next(1.0)
            if one is not None:
                self._serve(*one)

    def _serve(self, name: str, deployment: Deployment) -> None:
        """Serve a deployment; whatever is wrong with it, what served before serves on."""
        served = self._served.setdefault(name, set())
        last = self._last.get(name)
        before = self._serving(name)
        began = monotonic()
        try:
            if before != deployment.champion:
                self._state(name, before, deployment.champion, "loading")
                back = deployment.champion in {*served, last.previous if last else None}
                self._swaps.serve(name, deployment.champion, back=back)
                served.add(deployment.champion)
                self._tell_swap(name, before, monotonic() - began)
            self._state(name, deployment.champion, deployment.champion, "serving")
            self._last[name] = deployment
        except StoppedError:
            return
        except DownloadError as error:
            self._tell_failure(name, deployment.champion, before, f"{error}; tried again soon")
            self._try_again(name, deployment)
            return
        except Exception as error:  # noqa: BLE001 - whatever a broken version does, the old one serves
            self._tell_failure(name, deployment.champion, before, _told(error))
            return
        self._serve_candidate(name, deployment)

    def _serve_candidate(self, name: str, deployment: Deployment) -> None:
        """Put a candidate to work beside the champion, or take it out again."""
        try:
            rollout = Rollout.of(deployment)
            beside: Candidate | None = None
            if rollout is not None and rollout.mode != "shadow" and deployment.candidate:
                version = deployment.candidate
                beside = Candidate(version, KeySplit(name, version, rollout.share))
            self._swaps.serve(name, deployment.champion, beside, back=True)
            self.watch(name, deployment, None)
        except StoppedError:
            return
        except DownloadError as error:
            self._log.warning("a candidate is not there yet", model=name, error=str(error))
            self._try_again(name, deployment)
        except Exception as error:  # noqa: BLE001 - whatever a broken candidate does
            failed = _told(error)
            self._tell_failure(name, str(deployment.candidate), deployment.champion, failed)
            self.watch(name, deployment, failed)

    def _try_again(self, name: str, deployment: Deployment) -> None:
        """Serve a deployment later, unless another has come in its place meanwhile."""
        with self._changed:
            if name not in self._pending:
                self._again[name] = (monotonic() + _TRY_AGAIN_S, deployment)

    def _serving(self, name: str) -> str:
        return next(m.champion.version_name for m in self._models.following(name))

    def _state(
        self, name: str, version: str, wanted: str, state: str, reason: str | None = None
    ) -> None:
        given = {"version": version, "wanted": wanted, "state": state, "reason": reason}
        self._states[name] = Serves.model_validate(given)
        self.reporter.tell()

    def _tell_swap(self, name: str, before: str, seconds: float) -> None:
        tell_models(self._models.following(name), self._metrics, self._log)
        version = self._serving(name)
        self._log.info(
            "serves", model=name, version=version, before=before, seconds=round(seconds, 2)
        )
        self._tell_fleet(name, version, before, outcome="swapped", seconds=seconds)

    def _tell_fleet(self, name: str, version: str, before: str, **what: Any) -> None:
        self.reporter.tell(self._event(name, version, before, **what).model_dump_json())

    def _event(self, name: str, version: str, before: str, **what: Any) -> Swapped:
        return Swapped(
            at=now(), daemon=self.daemon, model=name, version=version, before=before, **what
        )

    def _tell_failure(self, name: str, version: str, before: str, reason: str) -> None:
        self._log.error(
            "a version does not serve; the one before goes on",
            model=name,
            version=version,
            serving=before,
            reason=reason,
        )
        self._metrics.swap_failed(name)
        self._state(name, before, version, "failed", reason)
        self._tell_fleet(name, version, before, outcome="failed", reason=reason)

    def _report(self, valid_s: float) -> str:
        report = Report(
            at=now(),
            daemon=self.daemon,
            topologies=self._topologies,
            models=dict(self._states),
            valid_s=valid_s,
            url=self.url,
        )
        return report.model_dump_json()


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, StreamerError) else f"{type(error).__name__}: {error}"

"""The sidecar: one of many works at a time, the others wait."""

import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Any

import structlog

from streamer.broker import backoff, wait_for_brokers
from streamer.config import Settings
from streamer.deployments.decider import Decider
from streamer.deployments.marks import Marks
from streamer.deployments.topics import create_topics
from streamer.endpoints import Endpoints
from streamer.errors import BrokerError, ConfigError, StreamerError
from streamer.models.registry import open_registry
from streamer.retraining.lease import Held
from streamer.retraining.plan import Plan, planned
from streamer.retraining.work import Work
from streamer.retraining.workshop import NotNowError
from streamer.runtime import on_signals
from streamer.telemetry.retraining import RetrainingMetrics

_LOOK_EVERY_S = 1.0
_WAIT_S = 5.0
_ASKING = (signal.SIGUSR1,) if hasattr(signal, "SIGUSR1") else ()


class StoppedError(StreamerError):
    """The sidecar is told to end."""


class Sidecar:
    """Learns from labels as long as it is not stopped.

    Args:
        plan: what was read and checked.
        settings: where brokers and registry are.
        now: whether a run begins as soon as all labels that are there are read.
        once: whether it ends after one run, or when none is due once all labels are read.
    """

    def __init__(
        self, plan: Plan, settings: Settings, *, now: bool = False, once: bool = False
    ) -> None:
        self._plan = plan
        self._file = plan.file
        self._settings = settings
        self.asked = Event()
        self.once = once
        if now:
            self.asked.set()
        self._stopping = Event()
        self._log = structlog.get_logger("retrain")
        self._began = time.time()
        self.metrics = RetrainingMetrics()
        self._held = Held(settings, f"streamer-retrain-{plan.file.name}")
        self._told = 0.0
        marks = Marks(open_registry(settings.models))
        self._decider = Decider(settings, f"the sidecar of {plan.file.name}", marks)
        self._status: dict[str, Any] = {"model": plan.file.name, "works": False}
        self._alive = time.monotonic()
        self._endpoints: Endpoints | None = None

    def stop(self) -> None:
        """End at the next opportunity."""
        self._stopping.set()

    def ask(self) -> None:
        """Begin a run whatever the triggers say."""
        self.asked.set()

    def serve(self) -> None:
        """Work until stopped.

        Raises:
            ConfigError: something must be changed by the operator.
            BrokerError: Kafka refuses for good.
        """
        wait_for_brokers(self._settings.kafka, give_up_after=None, stopping=self._stopping.is_set)
        if self._stopping.is_set():
            return
        create_topics(self._settings)
        with ExitStack() as opened:
            endpoints = Endpoints(
                self._settings.http, self, self.metrics.registry, self._told_status
            )
            self._endpoints = opened.enter_context(endpoints)
            self._held.start()
            opened.callback(self._held.stop)
            if self._settings.deployments.decide:
                self._decider.start()
                opened.callback(self._decider.stop)
            tries = 0
            while not self._stopping.is_set():
                try:
                    self._stand()
                    tries = 0
                    if self.once:
                        return
                except StoppedError:
                    return
                except ConfigError:
                    raise
                except StreamerError as error:
                    if isinstance(error, BrokerError) and not error.retriable:
                        raise
                    tries += 1
                    self._log.warning("trying again", error=str(error))
                    self._stopping.wait(backoff(tries))

    def started(self) -> tuple[bool, str]:
        """Whether it has begun."""
        return True, ""

    def ready(self) -> tuple[bool, str]:
        """Whether it works, or waits for the one that does."""
        return True, "" if self._held.mine.is_set() else "another sidecar works, this one waits"

    def live(self) -> tuple[bool, str]:
        """Whether it moves; a run has its own limit of time."""
        limit = self._file.budget.max_time + self._settings.line.stall_timeout
        silent = time.monotonic() - self._alive
        return silent < limit, "" if silent < limit else f"nothing for {silent:.0f} s"

    def _stand(self) -> None:
        """Wait for the lease, and work as long as it is held."""
        waited = time.monotonic()
        told = False
        while not self._held.mine.wait(_LOOK_EVERY_S):
            self._check()
            if self._held.refused is not None:
                raise self._held.refused
            if not told and time.monotonic() - waited > _WAIT_S:
                told = True
                self.metrics.holds(self._file.name, held=False)
                self._status = {"model": self._file.name, "works": False}
                self._log.info("another sidecar works on this model; this one waits")
        self.metrics.holds(self._file.name, held=True)
        self._log.info("works", model=self._file.name, learns=self._plan.text)
        with ExitStack() as opened:
            Work(self, self._plan, self._settings, opened).go()

    def _check(self) -> None:
        self._alive = time.monotonic()
        if self._stopping.is_set():
            raise StoppedError("stopped")

    def check(self) -> None:
        """End the work if it is not wanted any more.

        Raises:
            StoppedError: the sidecar is told to end.
            NotNowError: another one works now.
        """
        self._check()
        if not self._held.mine.is_set():
            raise NotNowError("the lease is lost")

    @property
    def mine(self) -> bool:
        """Whether this sidecar is the one that works."""
        return self._held.mine.is_set()

    @property
    def url(self) -> str | None:
        """Where its metrics and its status are."""
        return self._endpoints.advertised if self._endpoints is not None else None

    def tell(self, status: dict[str, Any]) -> None:
        """Show how things are."""
        self._status = status

    def _told_status(self) -> dict[str, Any]:
        return {**self._status, "decider": self._decider.status()}


def run_sidecar(path: Path, settings: Settings, *, now: bool = False, once: bool = False) -> int:
    """Run the sidecar as a process; give the exit code.

    Raises:
        ConfigError: the file is wrong, or the strategy can't be had; nothing was consumed.
    """
    plan = planned(path, settings)
    os.nice(plan.file.budget.niceness)
    sidecar = Sidecar(plan, settings, now=now, once=once)

    def heard(number: int) -> None:
        if number in _ASKING:
            sidecar.ask()
        else:
            sidecar.stop()

    on_signals(heard, signal.SIGTERM, signal.SIGINT, *_ASKING)
    sidecar.serve()
    return 0

"""What serves, shown in the registry too: for people who look there."""

from collections.abc import Mapping
from threading import Condition, Thread

import structlog

from streamer.broker import backoff
from streamer.deployments.deployment import Deployment
from streamer.errors import ConfigError, StreamerError
from streamer.models.registry import Registry

_STOPPED_WITHIN_S = 5.0

Shown = tuple[str, str | None]
"""Champion and candidate."""


class Marks:
    """Sets the registry's aliases from a thread of its own; the deployments topic stays the truth.

    A registry that does not answer is asked again; nobody waits for it.

    Args:
        registry: whose aliases they are.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._log = structlog.get_logger("deployments")
        self._changed = Condition()
        self._wanted: dict[str, Shown] = {}
        self._shown: dict[str, Shown] = {}
        self._ended = False
        self._thread: Thread | None = None

    def afresh(self) -> None:
        """Set everything once more: somebody else has set it meanwhile."""
        with self._changed:
            self._shown.clear()
            self._changed.notify()

    def want(self, deployments: Mapping[str, Deployment]) -> None:
        """Say what is deployed now; what is shown already is not set again."""
        wanted = {name: (one.champion, one.candidate) for name, one in deployments.items()}
        with self._changed:
            if wanted == self._wanted:
                return
            self._wanted = wanted
            self._changed.notify()
        if self._thread is None:
            self._thread = Thread(target=self._run, name="marks", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Set nothing any more."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(_STOPPED_WITHIN_S)

    def _run(self) -> None:
        tries = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._open())
                if self._ended:
                    return
                name, shown = self._open()[0]
            try:
                self._registry.mark(name, *shown)
                tries = 0
            except ConfigError as error:
                self._log.warning("the registry can't show what serves", error=str(error))
            except StreamerError as error:
                tries += 1
                self._log.warning("the registry shows what serves later", error=str(error))
                with self._changed:
                    self._changed.wait_for(lambda: self._ended, backoff(tries))
                continue
            with self._changed:
                self._shown[name] = shown

    def _open(self) -> list[tuple[str, Shown]]:
        return [one for one in self._wanted.items() if self._shown.get(one[0]) != one[1]]

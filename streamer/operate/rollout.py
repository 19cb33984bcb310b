"""A candidate put beside the champion, and watched until somebody or some rule decides."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamer.config import Settings
from streamer.config.files import load_section
from streamer.deployments import Deployment, Ledger
from streamer.deployments.decider import View
from streamer.deployments.rollout import Mode, Rollout, trying
from streamer.deployments.rules import Verdict
from streamer.errors import StreamerError
from streamer.models.registry import open_registry

_LOOK_EVERY_S = 1.0
Say = Callable[[str], None]


class TakenBackError(StreamerError):
    """The candidate does not serve."""


@dataclass(frozen=True)
class Asked:
    """What an operator asks for.

    Attributes:
        model: its name in the registry.
        version: the candidate, or an alias of the registry that means it.
        mode: how it is compared; of the file, else `canary`, if left out.
        share: of the keys; likewise.
        max_time: likewise.
        file: YAML file with the rules.
        expected: the version that must be serving now; any if None.
        by: who asks.
        reason: why.
    """

    model: str
    version: str
    mode: Mode | None = None
    share: str | None = None
    max_time: str | None = None
    file: Path | None = None
    expected: str | None = None
    by: str = ""
    reason: str = ""

    def rollout(self) -> Rollout:
        """Read the file, and put what was asked for in front of it.

        Raises:
            ConfigError: a rule is unknown or wrong.
        """
        given: dict[str, Any] = {"mode": self.mode, "share": self.share, "max_time": self.max_time}
        asked = {name: value for name, value in given.items() if value is not None}
        read = Rollout() if self.file is None else load_section(self.file, Rollout)
        return Rollout.read({**read.model_dump(exclude_defaults=True), **asked})


def begin(asked: Asked, settings: Settings) -> Deployment:
    """Write that a candidate is to be put beside what serves.

    Raises:
        ConfigError: there is no such version, or a rule is wrong.
        ChangedMeanwhileError: nothing serves, or not what was expected.
        BrokerError: Kafka does not take it.
    """
    rollout = asked.rollout()
    registry = open_registry(settings.models)
    version = registry.resolve(asked.model, asked.version)
    if version not in registry.versions(asked.model):
        registry.folder(asked.model, version)  # says what there is instead
    decide = trying(version, rollout, by=asked.by, reason=asked.reason, expected=asked.expected)
    return Ledger(settings).change(asked.model, rollout.mode, decide)


def await_end(model: str, begun: Deployment, settings: Settings, say: Say = print) -> Deployment:
    """Tell how a rollout stands until it has ended; give what serves then.

    Raises:
        TakenBackError: it is not the candidate.
    """
    view = View(settings)
    told: tuple[str, ...] = ()
    try:
        while True:
            view.look()
            now = view.deployments.get(model)
            if now is None or now.at != begun.at:
                break
            rollout = Rollout.of(now)
            verdict = Verdict("wait", ()) if rollout is None else view.verdict(model, now, rollout)
            lines = tuple(found.text for found in verdict.findings) or verdict.reasons
            if lines != told:
                for line in lines:
                    say(line)
                told = lines
            time.sleep(_LOOK_EVERY_S)
    finally:
        view.close()
    if now is None or now.champion != begun.candidate:
        reason = "the model was taken out" if now is None else now.told()
        raise TakenBackError(f"{model} {begun.candidate} does not serve: {reason}")
    return now

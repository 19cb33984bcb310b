"""Putting another version into service, and back: what operators do."""

import getpass
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from streamer.config import Settings
from streamer.config.topology import ModelRef
from streamer.deployments import ChangedMeanwhileError, Deployment, Ledger, promoting, rolling_back
from streamer.deployments.deployment import now
from streamer.deployments.events import Changed, Fleet, progress
from streamer.deployments.topics import Tail
from streamer.errors import ConfigError, ModelError, StreamerError
from streamer.models.location import registry_name
from streamer.models.successor import check_successor
from streamer.pipeline.model import Models, ModelVersion
from streamer.pipeline.verify import seconds_per_item, verify

_POLL_S = 0.25
_HEARTBEATS = 3
Say = Callable[[str], None]


class NotServedError(StreamerError):
    """What was written is not what all daemons serve."""


@dataclass(frozen=True)
class Promotion:
    """What an operator asks for.

    Attributes:
        model: its name in the registry.
        version: that is to serve.
        expected: the version that must be serving now; any if None.
        by: who asks.
        reason: why.
        verified: whether the version is tried here before anything is written.
        max_slowdown: how many times slower than the champion it may be.
    """

    model: str
    version: str
    expected: str | None = None
    by: str = ""
    reason: str = ""
    verified: bool = True
    max_slowdown: float = 5.0


def whoever() -> str:
    """Name the user and the machine."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


def named(model: str, version: str | None) -> tuple[str, str]:
    """Read `NAME VERSION`, `NAME@VERSION` or `NAME=VERSION`.

    Raises:
        ConfigError: the version is missing, or there are two.
    """
    uri = model.removeprefix("registry:").replace("=", "@", 1)
    name, found = registry_name(f"registry:{uri}")
    chosen = version or found
    if chosen is None or (version and found):
        raise ConfigError("write NAME VERSION, or NAME@VERSION")
    return name, chosen


def promote(promotion: Promotion, settings: Settings, say: Say = print) -> Deployment:
    """Try a version, then write that it serves.

    Raises:
        ConfigError: there is no such version.
        ModelError: it fails what is asked of it; nothing was written but that it was refused.
        ChangedMeanwhileError: somebody else has changed meanwhile what serves.
        BrokerError: Kafka does not take it.
    """
    models = Models(settings.models)
    meant = models.registry.resolve(promotion.model, promotion.version)
    promotion = replace(promotion, version=meant)
    if promotion.version not in models.registry.versions(promotion.model):
        models.registry.folder(promotion.model, promotion.version)  # says what there is instead
    ledger = Ledger(settings)
    before = ledger.read().get(promotion.model)
    _expect(promotion, before)
    if promotion.verified:
        try:
            _try(models, promotion, before, say)
        except ModelError as error:
            ledger.note(_refused(promotion, before, error))
            raise
    expected = promotion.expected or (before.champion if before is not None else None)
    decide = promoting(
        promotion.version, by=promotion.by, reason=promotion.reason, expected=expected
    )

    def unless_changed(found: Deployment | None) -> Deployment:
        if found != before:
            _changed(promotion.model, found)
        return decide(found)

    return ledger.change(promotion.model, "promote", unless_changed)


def roll_back(
    model: str, settings: Settings, *, by: str, reason: str, expected: str | None = None
) -> Deployment:
    """Write that the version before serves again, or end what goes on beside the champion.

    Raises:
        ChangedMeanwhileError: somebody else has changed it meanwhile, or there is no way back.
        BrokerError: Kafka does not take it.
    """
    decide = rolling_back(by=by, reason=reason, expected=expected)
    return Ledger(settings).change(model, "rollback", decide)


def await_fleet(
    model: str, deployment: Deployment, settings: Settings, *, patience: float, say: Say = print
) -> int:
    """Wait until every living daemon serves a version; give how many do.

    Raises:
        NotServedError: a daemon refuses it, or they do not all serve it in time.
        ChangedMeanwhileError: something else is deployed by now.
    """
    began = time.time()
    tail = Tail(settings, settings.deployments.events_topic)
    fleet = Fleet()
    told = ""
    seen = False  # daemons that fall silent are waited for: they may only be slow
    try:
        for record in tail.to_end():
            fleet.note(record)
        while True:
            serving = fleet.serving(model, time.time())
            done, waiting, failed = progress(serving, deployment.champion)
            text = f"{done} of {len(serving)} daemons serve {model} {deployment.champion}"
            text += f"; waiting for {', '.join(waiting)}" if waiting else ""
            if text != told:
                say(text)
                told = text
            if failed:
                reasons = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
                raise NotServedError(
                    f"{model} {deployment.champion} is refused by {reasons}; what served before "
                    f"serves on; `streamer models rollback {model}` makes that the truth"
                )
            seen = seen or bool(serving)
            if not waiting and (serving or not (seen or _some_may_come(began, settings))):
                return done
            if time.time() - began > patience:
                raise NotServedError(f"not within {patience:.0f} s: {text}")
            for record in tail.more(_POLL_S):
                fleet.note(record)
    finally:
        tail.close()


def _some_may_come(began: float, settings: Settings) -> bool:
    """Whether so little time has passed that a living daemon need not have been heard."""
    return time.time() - began < _HEARTBEATS * settings.deployments.heartbeat


def _expect(promotion: Promotion, before: Deployment | None) -> None:
    if promotion.expected is None:
        return
    if before is None or before.champion != promotion.expected:
        promoting(promotion.version, by=promotion.by, expected=promotion.expected)(before)


def _changed(model: str, found: Deployment | None) -> None:
    if found is None:
        raise ChangedMeanwhileError(f"{model}: taken out meanwhile; nothing was written")
    raise ChangedMeanwhileError(
        f"{model}: changed meanwhile by {found.by}: {found.told()}; nothing was written"
    )


def _refused(promotion: Promotion, before: Deployment | None, error: Exception) -> Changed:
    wanted = Deployment(champion=promotion.version, by=promotion.by, reason=promotion.reason)
    return Changed(
        at=now(),
        model=promotion.model,
        action="refused",
        by=promotion.by,
        reason=str(error),
        before=before,
        after=wanted,
    )


def _try(models: Models, promotion: Promotion, before: Deployment | None, say: Say) -> None:
    """Let a version answer in a process of its own, beside the one that serves.

    Raises:
        ModelError: it fails.
    """
    say(f"trying {promotion.model} {promotion.version}")
    name, served = promotion.model, before.champion if before is not None else None
    new = _opened(models, name, promotion.version)
    try:
        verify(new)
        if served is None or served == promotion.version or before is None:
            return
        old = _opened(models, name, served)
        try:
            back = before.previous == promotion.version
            check_successor(new.version.manifest, old.version.manifest, back=back)
            slower = seconds_per_item(new) / seconds_per_item(old)
        finally:
            old.close()
    except ModelError as error:
        raise ModelError(f"{name} {promotion.version}: {error}") from error
    finally:
        new.close()
    if slower > promotion.max_slowdown:
        raise ModelError(
            f"{name} {promotion.version} takes {slower:.1f} times as long as version {served}; "
            f"--max-slowdown {slower:.0f} would let it pass"
        )


def _opened(models: Models, name: str, version: str) -> ModelVersion:
    """Load a version in a process of its own.

    Raises:
        ModelError: it does not load.
    """
    ref = ModelRef.model_validate(
        {"uri": f"registry:{name}@{version}", "isolation": "process", "sessions": 1}
    )
    try:
        return models.load(models.version(ref, Path(), None), ref)
    except ConfigError:
        raise
    except StreamerError as error:
        raise ModelError(f"{name} {version}: {error}") from error

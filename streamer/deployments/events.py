"""What the events topic tells: what daemons serve, what became of swaps, who promoted what."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from streamer.deployments.deployment import Deployment
from streamer.records import Record

ModelState = Literal["serving", "loading", "failed"]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    at: str = ""
    """When, in ISO 8601, UTC."""


class Serves(BaseModel):
    """What one daemon does with one model.

    Attributes:
        version: that waves enter the line with.
        wanted: that the deployment names.
        state: `serving`; or `loading` another one; or `failed` to, for this reason.
        reason: why it failed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: str
    wanted: str
    state: ModelState
    reason: str | None = None


class Report(_Event):
    """A daemon lives, and serves this; the last report of each daemon stands."""

    kind: Literal["report"] = "report"
    daemon: str
    """Its instance's name, and what tells this process from others of that name."""
    topologies: list[str] = []
    models: dict[str, Serves] = {}
    valid_s: float
    """For so long; without another one by then the daemon is gone."""
    url: str | None = None
    """Where its metrics and its status are."""


class Swapped(_Event):
    """What became of putting another version into service."""

    kind: Literal["swap"] = "swap"
    daemon: str
    model: str
    version: str
    before: str
    outcome: Literal["swapped", "failed"]
    reason: str | None = None
    seconds: float = 0.0


class Changed(_Event):
    """Somebody changed what is deployed, or was refused."""

    kind: Literal["deployment"] = "deployment"
    model: str
    action: str
    """`first`, `promote`, `rollback`, `refused`, or a step of a rollout."""
    by: str
    reason: str = ""
    before: Deployment | None = None
    after: Deployment | None = None


Event = Annotated[Report | Swapped | Changed, Field(discriminator="kind")]
_ADAPTER: TypeAdapter[Report | Swapped | Changed] = TypeAdapter(Event)


def read_event(record: Record) -> Report | Swapped | Changed | None:
    """Read an event; None of a null value, and of kinds that are unknown here."""
    if record.value is None:
        return None
    try:
        return _ADAPTER.validate_json(record.value)
    except ValidationError:
        return None


class Fleet:
    """The daemons that live, by their last reports."""

    def __init__(self) -> None:
        self._reports: dict[bytes | None, tuple[float, Report]] = {}

    def note(self, record: Record) -> None:
        """Take note of a record of the events topic; others than reports are passed over."""
        if record.value is None:
            self._reports.pop(record.key, None)
            return
        event = read_event(record)
        if isinstance(event, Report):
            self._reports[record.key] = (record.timestamp / 1000, event)

    def alive(self, now_s: float) -> list[Report]:
        """Give the reports that hold now, by daemon."""
        living = (r for at, r in self._reports.values() if now_s - at <= r.valid_s)
        return sorted(living, key=lambda report: report.daemon)

    def serving(self, model: str, now_s: float) -> Mapping[str, Serves]:
        """Give what each living daemon does with a model."""
        living = self.alive(now_s)
        return {one.daemon: one.models[model] for one in living if model in one.models}


def fleet_of(records: Iterable[Record]) -> Fleet:
    """Read a fleet off the events topic."""
    fleet = Fleet()
    for record in records:
        fleet.note(record)
    return fleet


def progress(serving: Mapping[str, Serves], version: str) -> tuple[int, list[str], dict[str, str]]:
    """Count how far a fleet is on the way to a version.

    Returns:
        How many daemons serve it, which do not yet, and why which ones never will.
    """
    done = [name for name, one in serving.items() if one.version == version]
    failed = {
        name: one.reason or "no reason told"
        for name, one in serving.items()
        if one.state == "failed" and one.wanted == version
    }
    waiting = [name for name in serving if name not in done and name not in failed]
    return len(done), waiting, failed


def stand_in(swaps: Iterable[Swapped], deployment: Deployment) -> tuple[str | None, bool]:
    """Find what serves where the deployed version does not, and whether that one ever did.

    `previous` is what was deployed before, which daemons may have refused as well.

    Args:
        swaps: of the model, oldest first.
        deployment: of the model.
    """
    last = {swap.version: swap for swap in swaps}
    new, old = last.get(deployment.champion), last.get(deployment.previous or "")
    served = new is not None and new.outcome == "swapped"
    for swap in (new, old):
        if swap is not None and swap.outcome == "failed" and swap.before:
            return swap.before, served
    return deployment.previous, served


__all__ = [
    "Changed",
    "Fleet",
    "Report",
    "Serves",
    "Swapped",
    "fleet_of",
    "progress",
    "read_event",
    "stand_in",
]

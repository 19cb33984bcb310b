"""What is deployed of a model: the value of its record in the deployments topic."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from streamer.errors import StreamerError


class ChangedMeanwhileError(StreamerError):
    """Somebody else has changed what is deployed; nothing was written."""


class Deployment(BaseModel):
    """Which version of a model serves, what goes on beside it, and who wrote so.

    Keys that a later release may add are passed over.

    Attributes:
        champion: the version that serves.
        candidate: a version beside it, while a rollout goes on.
        shares: by version, the share of the keys that it answers instead of the champion.
        previous: the version that served before: what a rollback goes back to.
        by: who wrote this.
        reason: why.
        at: when, in ISO 8601, UTC.
        mode: how the candidate is compared: `canary`, `ab` or `shadow`.
        rules: when it is promoted or taken back (`rollout.Rollout`, without mode and share).
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    champion: str
    candidate: str | None = None
    shares: Mapping[str, float] = {}
    previous: str | None = None
    by: str = ""
    reason: str = ""
    at: str = ""
    mode: Literal["canary", "ab", "shadow"] | None = None
    rules: Mapping[str, Any] = {}

    @classmethod
    def read(cls, value: bytes | None) -> Self | None:
        """Read a record's value; None of a null value, and of what is none of ours."""
        if value is None:
            return None
        try:
            return cls.model_validate_json(value)
        except ValidationError:
            return None

    def written(self) -> bytes:
        """Write it as a record's value."""
        return self.model_dump_json().encode()

    def told(self) -> str:
        """Say in a few words what is deployed, since when, and by whom."""
        reason = f": {self.reason}" if self.reason else ""
        return f"version {self.champion}, since {self.at} by {self.by}{reason}"


def now() -> str:
    """Give the time as deployments and events carry it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")

"""How a candidate is compared with the champion, and which records it answers."""

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, Literal, Self

from pydantic import ValidationError

from streamer.config.topology import TopicName
from streamer.config.units import Share
from streamer.deployments.deployment import ChangedMeanwhileError, Deployment, now
from streamer.deployments.rules import Rules
from streamer.errors import ConfigError
from streamer.records import Record

Mode = Literal["canary", "ab", "shadow"]
_WHOLE = 2.0**53


class Rollout(Rules):
    """How a candidate is compared, and when it is promoted or taken back."""

    mode: Mode = "canary"
    """`canary`: the candidate answers a share of the keys, and the rules decide. `ab`: the same,
    and a person decides. `shadow`: it answers beside the champion, and users never see it."""
    share: Share = 0.1
    """Share of the keys that the candidate answers, or that the shadow looks at."""
    shadow_topic: TopicName | None = None
    """Where a shadow's answers go; the sink's topic with `.shadow` behind it if left out."""

    @classmethod
    def of(cls, deployment: Deployment) -> Self | None:
        """Read the rollout that a deployment speaks of; None if there is none.

        Raises:
            ConfigError: its rules are not what this release knows.
        """
        if deployment.candidate is None:
            return None
        share = deployment.shares.get(deployment.candidate, 0.1)
        mode = deployment.mode or "canary"
        return cls.read({**deployment.rules, "mode": mode, "share": share})

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """Read mode, share and rules.

        Raises:
            ConfigError: one is unknown or wrong.
        """
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ConfigError(f"the rollout's rules: {wrong}") from error

    def rules(self) -> dict[str, object]:
        """Give what goes into a deployment's `rules`: all that is not as it is anyway."""
        return self.model_dump(mode="json", exclude={"mode", "share"}, exclude_defaults=True)


def trying(
    candidate: str, rollout: Rollout, *, by: str, reason: str = "", expected: str | None = None
) -> Callable[[Deployment | None], Deployment]:
    """Put a candidate beside the version that serves.

    Args:
        candidate: the version.
        rollout: how it is compared, and the rules.
        by: who says so.
        reason: why.
        expected: the version that must be serving now; any if left out.
    """

    def decide(found: Deployment | None) -> Deployment:
        if found is None:
            raise ChangedMeanwhileError("nothing serves that a candidate could be compared with")
        if expected is not None and found.champion != expected:
            message = f"version {expected} was expected to serve; it is {found.told()}"
            raise ChangedMeanwhileError(message)
        if found.champion == candidate:
            raise ChangedMeanwhileError(f"version {candidate} serves already")
        return Deployment(
            champion=found.champion,
            candidate=candidate,
            shares={candidate: rollout.share},
            previous=found.previous,
            by=by,
            reason=reason,
            at=now(),
            mode=rollout.mode,
            rules=rollout.rules(),
        )

    return decide


class KeySplit:
    """Tells which records a candidate answers: a share of the keys, each always on the same side.

    A key's place between 0 and 1 is a hash of the key, the model and the candidate; so a greater
    share keeps the keys of a smaller one, another candidate gets others, and every daemon decides
    alike. A record without a key counts by itself: its topic, partition and offset.
    """

    def __init__(self, model: str, candidate: str, share: float) -> None:
        self._share = share
        self._person = blake2b(f"{model}@{candidate}".encode(), digest_size=16).digest()

    def __call__(self, record: Record) -> bool:
        """Whether the candidate answers."""
        return self._place(record) < self._share

    def timed(self, record: Record) -> bool:
        """Whether the run on a record is compared: equal shares of both, as large as can be."""
        width = min(self._share, 1 - self._share)
        place = self._place(record)
        return place < width or self._share <= place < self._share + width

    def _place(self, record: Record) -> float:
        key = record.key
        if key is None:
            key = f"{record.topic}/{record.partition}/{record.offset}".encode()
        digest = blake2b(key, digest_size=8, person=self._person).digest()
        return (int.from_bytes(digest, "big") >> 11) / _WHOLE


def timed(split: Callable[[Record], bool], record: Record) -> bool:
    """Whether the run on a record is compared; all are where a split does not say."""
    return split.timed(record) if isinstance(split, KeySplit) else True

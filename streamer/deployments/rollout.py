"""How a candidate is compared with the champion, and which records it answers."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Literal, Self

from pydantic import ValidationError

from streamer.config.topology import TopicName
from streamer.config.units import Share
from streamer.deployments.deployment import ChangedMeanwhileError, Deployment, now
from streamer.deployments.rules import Rules
from streamer.errors import ConfigError
from streamer.records import Record

Mode = Literal["canary", "ab", "shadow"]
_WHOLE = 2**64


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
        given = {**deployment.rules, "mode": deployment.mode or "canary", "share": share}
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


def splitter(model: str, candidate: str, share: float) -> Callable[[Record], bool]:
    """Tell which records a candidate answers: a share of the keys, each always on the same side.

    A key's place between 0 and 1 is a hash of the key, the model and the candidate; so a greater
    share keeps the keys of a smaller one, another candidate gets others, and every daemon decides
    alike. A record without a key counts by itself: its topic, partition and offset.
    """
    limit = int(share * _WHOLE)
    person = blake2b(f"{model}@{candidate}".encode(), digest_size=16).digest()

    def chosen(record: Record) -> bool:
        key = record.key
        if key is None:
            key = f"{record.topic}/{record.partition}/{record.offset}".encode()
        place = int.from_bytes(blake2b(key, digest_size=8, person=person).digest(), "big")
        return place < limit

    return chosen

"""How a candidate is compared with the champion, and which records it answers."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Literal

from streamer.config.topology import TopicName
from streamer.config.units import Share
from streamer.deployments.rules import Rules
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

"""What publishing is allowed this moment; consuming says so."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from streamer.records.record import TopicPartition


class Membership(Protocol):
    """Name and generation in the group, as the broker fences by them."""

    member_id: str
    generation_id: int


@dataclass(frozen=True, slots=True)
class Permit:
    """What may be published now, taken in one look.

    Attributes:
        epochs: the current epoch of each partition that may be published.
        membership: under which they are ours; None before the first join is over.
    """

    epochs: Mapping[TopicPartition, int]
    membership: Membership | None

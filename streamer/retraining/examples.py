"""An example of the labelled set, and the side that it is on."""

from dataclasses import dataclass, replace
from hashlib import blake2b, sha256
from typing import Any, Literal

import msgspec

Side = Literal["train", "validation", "test", "none"]
_WHOLE = 2.0**53


@dataclass(frozen=True, slots=True)
class Row:
    """What the set keeps of one label; the last row of a name counts.

    Attributes:
        name: of the example.
        sha: of the value; labels of equal values are labels of one example.
        kind: `image`, `text` or `pair`.
        value: the picture's bytes, the text, or a JSON object with two sentences; None where an
            earlier row has it, and of a withdrawal.
        label: the answer that is right, as JSON.
        cluster: what stays on one side of the split with it.
        signature: what near-duplicates have nearly in common.
        labelled_at: milliseconds since the epoch.
        recorded_at: of the input record.
        random: whether its label was asked for at random.
        withdrawn: whether it is to be forgotten.
        apart: whether it is left out, being near to examples of two sides.
        sequence: of the shard that it came with.
    """

    name: str
    sha: str = ""
    kind: str = ""
    value: bytes | None = None
    label: str = ""
    cluster: str = ""
    signature: bytes = b""
    labelled_at: int = 0
    recorded_at: int | None = None
    reason: str | None = None
    propensity: float | None = None
    random: bool = False
    withdrawn: bool = False
    apart: bool = False
    step: str | None = None
    model: str | None = None
    version: str | None = None
    answered: str | None = None
    sequence: int = 0

    def without_value(self) -> "Row":
        """Give it without what takes space."""
        return replace(self, value=None)

    @property
    def answer(self) -> Any:
        """What is right: a label or several, boxes, a similarity, entities."""
        return next(iter(msgspec.json.decode(self.label).values()))


def digest_of(value: bytes) -> str:
    """Give what tells values apart."""
    return sha256(value).hexdigest()


def side_of(cluster: str, validation: float, test: float) -> Side:
    """Give the side of a cluster: the same for ever, whatever else is in the set."""
    digest = blake2b(cluster.encode(), digest_size=8, person=b"split").digest()
    at = (int.from_bytes(digest, "big") >> 11) / _WHOLE
    if at < test:
        return "test"
    return "validation" if at < test + validation else "train"

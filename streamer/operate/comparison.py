"""What changes when another version answers the same records: counts, and examples."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from streamer.deployments.intervals import share_interval
from streamer.records import Answer, Item, Record
from streamer.tasks.agreement import agreement

_ALPHA = 0.05
_MOST_KINDS = 30


@dataclass(frozen=True, slots=True)
class Side:
    """What one version said of a record: an output, or why there is none."""

    version: str
    output: Any = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A record that is answered otherwise.

    Attributes:
        source: topic, partition, offset and timestamp of the record.
        told: what differs, in words.
        shift: by how much the candidate's scores are higher.
    """

    source: Mapping[str, Any]
    step: str
    told: str
    shift: float
    before: Side
    after: Side


@dataclass
class Counts:
    """What was counted of one step."""

    records: int = 0
    same: int = 0
    failed_before: int = 0
    failed_after: int = 0
    shift: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)

    def summary(self) -> dict[str, Any]:
        """Give the counts, and the share of equal answers with its 95% interval."""
        share = share_interval(self.same, self.records, _ALPHA)
        both = self.records - self.failed_before - self.failed_after
        return {
            "records": self.records,
            "same": self.same,
            "changed": self.records - self.same,
            "agreement": share.guess if self.records else None,
            "agreement_interval": [share.low, share.high],
            "score_shift_mean": self.shift / both if both > 0 else None,
            "failed_before": self.failed_before,
            "failed_after": self.failed_after,
            "changes": dict(self.kinds.most_common(_MOST_KINDS)),
        }


@dataclass
class Comparison:
    """Collects what two versions say of records.

    Attributes:
        most: changes kept as examples at the most, those first seen; all are counted.
    """

    most: int
    counts: dict[str, Counts] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    def add(self, record: Record, before: Mapping[str, Side], after: Mapping[str, Side]) -> bool:
        """Compare what was said of one record, step by step; whether it is kept as an example."""
        kept = False
        for step in before.keys() & after.keys():
            one, two = before[step], after[step]
            counts = self.counts.setdefault(step, Counts())
            counts.records += 1
            counts.failed_before += one.error is not None
            counts.failed_after += two.error is not None
            same, shift, told = _compared(one, two)
            counts.same += same
            counts.shift += shift
            if same:
                continue
            counts.kinds[_kind(told)] += 1
            if len(self.changes) < self.most:
                place = {
                    "topic": record.topic,
                    "partition": record.partition,
                    "offset": record.offset,
                    "timestamp": record.timestamp,
                }
                self.changes.append(Change(place, step, told, shift, one, two))
                kept = True
        return kept

    def as_object(self) -> dict[str, Any]:
        """Give counts and examples as plain values."""
        return {
            "steps": {step: counts.summary() for step, counts in sorted(self.counts.items())},
            "examples": [_plain(change) for change in self.changes],
        }


def _plain(record: Change | Side) -> dict[str, Any]:
    """Give a record's fields, outputs as they are: a detector's is a list of its own kind."""
    told = {one.name: getattr(record, one.name) for one in fields(record)}
    return {name: _plain(one) if isinstance(one, Side) else one for name, one in told.items()}


def sides(item: Item, versions: Mapping[str, str]) -> dict[str, Side]:
    """Give what a version said of a record, step by step.

    A record that one step fails on is a dead letter: no step answers it.
    """
    if item.rejection is not None:
        failure = f"{item.rejection.stage}: {item.rejection.reason}: {item.rejection.message}"
        return {step: Side(version, None, failure) for step, version in versions.items()}
    return {
        step: Side(versions[step], answer.output)
        for step, answer in item.answers.items()
        if isinstance(answer, Answer)
    }


def published(predictions: Mapping[str, Any], steps: Iterable[str]) -> dict[str, Side]:
    """Give what a prediction record says, step by step."""
    return {
        step: Side(f"{told.get('model')} {told.get('version')}", told.get("output"))
        for step, told in predictions.items()
        if step in set(steps)
    }


def _compared(one: Side, two: Side) -> tuple[bool, float, str]:
    if one.error is not None and two.error is not None:
        return True, 0.0, ""
    if two.error is not None:
        return False, 0.0, f"fails now: {two.error}"
    if one.error is not None:
        return False, 0.0, f"failed before: {one.error}"
    found = agreement(one.output, two.output)
    return found.same, found.shift, found.told


def _kind(told: str) -> str:
    """Name a change without its scores, so that like ones are counted together."""
    words: list[str] = []
    for word in told.split():
        if not word.replace(".", "", 1).rstrip(",").isdecimal():
            words.append(word)
        elif word.endswith(",") and words:
            words[-1] += ","
    return " ".join(words)[:120]

"""The labelled set as it stands: which label of an example counts, and which side it is on."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streamer.labels import Label, Withdrawal
from streamer.records import Sample
from streamer.retraining.config import Split
from streamer.retraining.examples import Row, Side, digest_of, side_of
from streamer.retraining.near import Near, signature


@dataclass(frozen=True, slots=True)
class Example:
    """One value with the label that counts.

    Attributes:
        sha: of the value.
        names: of all labels that speak of it.
        answer: what is right.
        cluster: what it stays together with.
        sequence: of the shard that its label came with.
    """

    sha: str
    kind: str
    names: tuple[str, ...]
    answer: Any
    cluster: str
    side: Side
    signature: bytes
    random: bool
    labelled_at: int
    sequence: int


@dataclass(frozen=True)
class Found:
    """An example that a label speaks of.

    Attributes:
        value: as the set keeps it.
        sample: decoded.
        group: what it belongs to by the file's `split.group`; None if nothing is said.
        recorded_at: of the input record, milliseconds since the epoch.
        random: whether its label was asked for at random.
        model: that answered it, with version and answer, where that is known.
    """

    kind: str
    value: bytes
    sample: Sample
    group: str | None
    recorded_at: int | None = None
    random: bool = False
    model: str | None = None
    version: str | None = None
    answered: str | None = None


class LabelledSet:
    """Takes labels in and says what they amount to.

    Args:
        rows: what is there already, oldest first.
        split: how it is divided.
        counts: what was counted before.
        firsts: by cluster, the sequence that it came with, where its first rows are gone.
    """

    def __init__(
        self,
        rows: Iterable[Row],
        split: Split,
        counts: dict[str, int],
        firsts: Mapping[str, int] | None = None,
    ) -> None:
        self._split = split
        self.counts = Counter(counts)
        self._last: dict[str, Row] = {}
        self._names: dict[str, list[str]] = {}
        self._near = Near()
        self._clusters: dict[str, str] = {}
        self._first: dict[str, int] = dict(firsts or {})
        for row in rows:
            self._note(row)

    def take(self, label: Label, found: Found, sequence: int) -> Row | None:
        """Take a label in; give the row to be kept, or None where it says nothing new."""
        sha = digest_of(found.value)
        known = self._last.get(label.name)
        if known is not None and not known.withdrawn:
            if (known.sha, known.label) == (sha, label.written):
                self.counts["duplicate"] += 1
                return None
            self.counts["replaced"] += 1
        others = [self._last[name] for name in self._living(sha) if name != label.name]
        if others:
            same = all(other.label == label.written for other in others)
            self.counts["duplicate" if same else "contradictory"] += 1
        signed = others[0].signature if others else signature(found.sample)
        cluster, apart = self._cluster(sha, found.group, signed, others)
        row = Row(
            name=label.name,
            sha=sha,
            kind=found.kind,
            value=None if others else found.value,
            label=label.written,
            cluster=cluster,
            signature=signed,
            labelled_at=label.at,
            recorded_at=found.recorded_at,
            reason=label.reason,
            propensity=label.propensity,
            random=found.random,
            apart=apart,
            step=label.place.step if label.place is not None else None,
            model=found.model,
            version=found.version,
            answered=found.answered,
            sequence=sequence,
        )
        self.counts["taken"] += 1
        self.counts["apart"] += apart
        self._note(row.without_value())
        return row

    def withdraw(self, withdrawal: Withdrawal, sequence: int) -> Row | None:
        """Forget an example; None if there is none of that name."""
        known = self._last.get(withdrawal.name)
        if known is None or known.withdrawn:
            self.counts["withdrawn_unknown"] += 1
            return None
        self.counts["withdrawn"] += 1
        row = Row(
            withdrawal.name,
            sha=known.sha,
            labelled_at=withdrawal.at,
            withdrawn=True,
            sequence=sequence,
        )
        self._note(row)
        return row

    def row(self, name: str) -> Row | None:
        """Give the row of a name that counts; None if there is none, or it was withdrawn."""
        found = self._last.get(name)
        return None if found is None or found.withdrawn else found

    def living(self) -> list[Row]:
        """Give the rows that count."""
        return [row for row in self._last.values() if not row.withdrawn]

    def examples(self, retired: int = 0) -> list[Example]:
        """Give the examples, in an order that depends on nothing but them.

        Args:
            retired: sequence up to which clusters that were held out are learnt from instead.
        """
        found = []
        for sha in sorted(self._names):
            names = self._living(sha)
            if not names:
                continue
            rows = [self._last[name] for name in names]
            newest = max(rows, key=lambda row: (row.labelled_at, row.sequence, row.name))
            found.append(
                Example(
                    sha=sha,
                    kind=newest.kind,
                    names=tuple(sorted(names)),
                    answer=newest.answer,
                    cluster=newest.cluster,
                    side=self._side(newest, retired),
                    signature=newest.signature,
                    random=any(row.random for row in rows),
                    labelled_at=newest.labelled_at,
                    sequence=newest.sequence,
                )
            )
        return found

    @property
    def size(self) -> int:
        """How many labels count."""
        return sum(not row.withdrawn for row in self._last.values())

    def _side(self, row: Row, retired: int) -> Side:
        if row.apart:
            return "none"
        side = side_of(row.cluster, self._split.validation, self._split.test)
        if side == "test" and self._first[row.cluster] <= retired:
            return "train"
        return side

    def _cluster(
        self, sha: str, group: str | None, signed: bytes, others: Sequence[Row]
    ) -> tuple[str, bool]:
        """Choose what an example stays together with, and whether that can't be had."""
        own = f"group:{group}" if group is not None else None
        if others:
            known = others[0]
            return known.cluster, known.apart or self._torn({known.cluster, own or known.cluster})
        candidates = dict.fromkeys(self._near.clusters(signed))
        if own is not None and own in self._clusters:
            candidates = {self._clusters[own]: None, **candidates}
        if not candidates:
            return own or f"sha:{sha}", False
        chosen = next(iter(candidates))
        # what comes later of its own group, and is near to nothing, stands on that group's side
        return chosen, self._torn({*candidates, own or chosen})

    def _torn(self, clusters: set[str]) -> bool:
        """Whether clusters are not on one side.

        Two of the held-out side are neither: they may be retired at different times.
        """
        sides = {side_of(one, self._split.validation, self._split.test) for one in clusters}
        return len(sides) > 1 or (sides == {"test"} and len(clusters) > 1)

    def _living(self, sha: str) -> list[str]:
        return [
            name
            for name in self._names.get(sha, ())
            if not self._last[name].withdrawn and self._last[name].sha == sha
        ]

    def _note(self, row: Row) -> None:
        self._last[row.name] = row
        if row.withdrawn:
            return
        names = self._names.setdefault(row.sha, [])
        if row.name not in names:
            names.append(row.name)
        first = self._first.get(row.cluster, row.sequence)
        self._first[row.cluster] = min(first, row.sequence)
        if row.cluster.startswith("group:"):
            self._clusters.setdefault(row.cluster, row.cluster)
        if not row.apart and len(names) == 1:
            self._near.add(row.signature, row.cluster)

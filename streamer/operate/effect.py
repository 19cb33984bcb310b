"""What a faster way of computing does to answers: figures, for people and for the lineage."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import RecordError
from streamer.retraining.marks import correlation_figures

Label = str | float | None


@dataclass(frozen=True)
class Effect:
    """Two ways of answering the same records, compared.

    Attributes:
        way: how the graph was quantised, or `fp16`.
        records: answered by both.
        changed: share of them whose first label is another one.
        difference: of any number in the answers, the mean over records of the largest one.
        most: the largest of all.
        labelled: records with a label.
        accuracy: on these, before; None without labels that are names.
        accuracy_after: the same, after.
        correlation: of scores with labels that are numbers (Spearman), before.
        correlation_after: the same, after.
        size_ratio: of the file, after to before.
        speed: records a second, after to before, on this machine.
    """

    way: str
    records: int
    changed: float
    difference: float
    most: float
    labelled: int
    accuracy: float | None
    accuracy_after: float | None
    correlation: float | None
    correlation_after: float | None
    size_ratio: float
    speed: float

    def told(self) -> Iterator[str]:
        """Say it for people."""
        yield f"{self.way}; the file is {self.size_ratio:.0%} of what it was"
        yield f"{self.speed:.2f} times as fast here, on {self.records} records"
        yield (
            f"numbers differ by {self.difference:.2g} on average, {self.most:.2g} at the most; "
            f"{self.changed:.2%} of the first labels are others"
        )
        if self.accuracy is not None and self.accuracy_after is not None:
            yield (
                f"accuracy on {self.labelled} labelled records: {self.accuracy:.4f} before, "
                f"{self.accuracy_after:.4f} after"
            )
        if self.correlation is not None and self.correlation_after is not None:
            yield (
                f"rank correlation with {self.labelled} labels: {self.correlation:.4f} before, "
                f"{self.correlation_after:.4f} after"
            )
        if not self.labelled:
            yield "no record has a label: give labelled ones to learn what it does to accuracy"


def effect_of(  # noqa: PLR0913, PLR0917 - all that is compared
    before: Sequence[Any],
    after: Sequence[Any],
    labels: Sequence[Label],
    way: str,
    sizes: tuple[int, int],
    seconds: tuple[float, float],
) -> Effect:
    """Compare answers in the tasks' shapes; those that either could not give do not count."""
    both = [
        (one, other, label)
        for one, other, label in zip(before, after, labels, strict=True)
        if not isinstance(one, RecordError) and not isinstance(other, RecordError)
    ]
    apart = [_apart(one, other) for one, other, _ in both]
    named = [(_first(one), _first(other), label) for one, other, label in both]
    truths = [(one, other, label) for one, other, label in named if isinstance(label, str)]
    scored = [
        (one["score"], other["score"], label)
        for one, other, label in both
        if isinstance(label, float) and isinstance(one, Mapping) and "score" in one
    ]
    ranks = np.array(scored, dtype=float).reshape(-1, 3)
    return Effect(
        way=way,
        records=len(both),
        changed=_share([one != other for one, other, _ in named]) or 0.0,
        difference=float(np.mean(apart)) if apart else 0.0,
        most=max(apart, default=0.0),
        labelled=len(truths) or len(scored),
        accuracy=_share([one == label for one, _, label in truths]),
        accuracy_after=_share([other == label for _, other, label in truths]),
        correlation=_spearman(ranks[:, 0], ranks[:, 2]),
        correlation_after=_spearman(ranks[:, 1], ranks[:, 2]),
        size_ratio=sizes[1] / sizes[0],
        speed=seconds[0] / max(seconds[1], 1e-9),
    )


def _first(answer: Any) -> Any:
    """Give the label that stands first; None where answers have none."""
    if isinstance(answer, Sequence) and answer and isinstance(answer[0], Mapping):
        return answer[0].get("label")
    return None


def _apart(one: Any, other: Any) -> float:
    """Give the largest difference of numbers that belong together: by label where there is one."""
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(float(one) - float(other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return max((_apart(one[key], other[key]) for key in one if key in other), default=0.0)
    if isinstance(one, list) and isinstance(other, list):
        if one and isinstance(one[0], Mapping) and "label" in one[0] and "box" not in one[0]:
            scores = {entry["label"]: entry["score"] for entry in other}
            pairs = ((entry["score"], scores.get(entry["label"])) for entry in one)
            return max((abs(a - b) for a, b in pairs if b is not None), default=0.0)
        return max((_apart(a, b) for a, b in zip(one, other, strict=False)), default=0.0)
    return 0.0


def _share(hits: Sequence[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None


def _spearman(scores: NDArray[np.float64], truths: NDArray[np.float64]) -> float | None:
    """Give the correlation of ranks; None where there is no order."""
    if not len(scores) or not np.ptp(scores) or not np.ptp(truths):
        return None
    return float(correlation_figures(scores, truths).mean())

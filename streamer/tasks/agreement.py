"""Whether two versions say the same of a record, and in what they differ."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_LEAST_OVERLAP = 0.5
"""Intersection over union from which two boxes mean the same thing."""
_LEAST_SHIFT = 0.05
"""Scores without a label (how alike two sentences are) differ from here on."""
_MOST_TOLD = 5
_SHORT = 60


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two outputs for one record compare.

    Attributes:
        same: whether they say the same: the best label, the boxes with their labels, the text.
        shift: by how much the second's scores are higher, the mean over what both say.
        told: what differs, in words; empty where they say the same.
    """

    same: bool
    shift: float = 0.0
    told: str = ""


def agreement(first: Any, second: Any) -> Agreement:
    """Compare two outputs of one task, by the shape that the task gives them."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return _scores(first, second)
    if not _entries(first) or not _entries(second):
        told = "" if first == second else f"{_short(first)} → {_short(second)}"
        return Agreement(first == second, 0.0, told)
    one: Mapping[str, Any] = next(iter([*first, *second]), {})
    if "box" in one:
        return _boxes(first, second)
    if "entity_group" in one:
        return _sets(first, second, ("entity_group", "start", "end"), ("entity_group", "word"))
    if "label" in one:
        return _labels(first, second)
    return _sets(first, second, tuple(one), tuple(one))


def _entries(output: Any) -> bool:
    return isinstance(output, Sequence) and all(isinstance(entry, Mapping) for entry in output)


def _scores(first: Mapping[str, Any], second: Mapping[str, Any]) -> Agreement:
    one, two = first.get("score"), second.get("score")
    if not isinstance(one, int | float) or not isinstance(two, int | float):
        told = "" if first == second else f"{_short(first)} → {_short(second)}"
        return Agreement(first == second, 0.0, told)
    same = abs(two - one) < _LEAST_SHIFT
    return Agreement(same, two - one, "" if same else f"{one:.3f} → {two:.3f}")


def _labels(first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]) -> Agreement:
    """Compare the best labels; the shift is that of the first's best label, where both give it."""
    one, two = (entries[0].get("label") if entries else None for entries in (first, second))
    after = {entry.get("label"): entry.get("score", 0.0) for entry in second}
    shift = after[one] - first[0].get("score", 0.0) if first and one in after else 0.0
    if one == two:
        return Agreement(same=True, shift=shift)
    return Agreement(same=False, shift=shift, told=f"{_best(first)} → {_best(second)}")


def _best(entries: Sequence[Mapping[str, Any]]) -> str:
    if not entries:
        return "nothing"
    return f"{entries[0].get('label')} {entries[0].get('score', 0.0):.2f}"


def _sets(
    first: Sequence[Mapping[str, Any]],
    second: Sequence[Mapping[str, Any]],
    keys: tuple[str, ...],
    shown: tuple[str, ...],
) -> Agreement:
    """Compare entries by some of their keys, whatever their order."""
    one, two = (
        {tuple(entry.get(key) for key in keys): entry for entry in given}
        for given in (first, second)
    )
    gone = [one[key] for key in one.keys() - two.keys()]
    come = [two[key] for key in two.keys() - one.keys()]
    both = [(one[key].get("score", 0.0), two[key].get("score", 0.0)) for key in one.keys() & two]
    shift = sum(after - before for before, after in both) / len(both) if both else 0.0
    told = [f"-{_named(entry, shown)}" for entry in gone] + [
        f"+{_named(entry, shown)}" for entry in come
    ]
    return Agreement(not told, shift, _few(sorted(told)))


def _named(entry: Mapping[str, Any], shown: tuple[str, ...]) -> str:
    return _short(" ".join(str(entry.get(key)) for key in shown))


def _boxes(first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]) -> Agreement:
    """Pair the boxes that overlap, best overlap first; compare labels, or what a step said of each.

    An entry of a step on crops carries `output`; one of a detector its own label and score.
    """
    pairs, gone, come = _paired(first, second)
    changed, shifts = [], []
    for before, after in pairs:
        if "output" in before and "output" in after:
            inner = agreement(before["output"], after["output"])
        else:
            inner = _labels([before], [after])
        shifts.append(inner.shift)
        if not inner.same:
            changed.append(inner.told)
    told = [
        *changed,
        *(f"-{count} {name}" for name, count in _counted(gone)),
        *(f"+{count} {name}" for name, count in _counted(come)),
    ]
    return Agreement(not told, sum(shifts) / len(shifts) if shifts else 0.0, _few(told))


def _counted(entries: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, int]]:
    yield from sorted(Counter(str(entry.get("label", "box")) for entry in entries).items())


def _paired(
    first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]
) -> tuple[
    list[tuple[Mapping[str, Any], Mapping[str, Any]]],
    list[Mapping[str, Any]],
    list[Mapping[str, Any]],
]:
    overlaps = sorted(
        (
            (_overlap(before["box"], after["box"]), at, to)
            for at, before in enumerate(first)
            for to, after in enumerate(second)
        ),
        reverse=True,
    )
    left, right = set(range(len(first))), set(range(len(second)))
    pairs = []
    for overlap, at, to in overlaps:
        if overlap >= _LEAST_OVERLAP and at in left and to in right:
            pairs.append((first[at], second[to]))
            left.remove(at)
            right.remove(to)
    return pairs, [first[at] for at in sorted(left)], [second[to] for to in sorted(right)]


def _overlap(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Give the intersection of two boxes by their union."""
    width = min(one["xmax"], other["xmax"]) - max(one["xmin"], other["xmin"])
    height = min(one["ymax"], other["ymax"]) - max(one["ymin"], other["ymin"])
    common = max(width, 0) * max(height, 0)
    both = sum((box["xmax"] - box["xmin"]) * (box["ymax"] - box["ymin"]) for box in (one, other))
    return common / (both - common) if both > common else float(one == other)


def _few(told: Sequence[str]) -> str:
    more = len(told) - _MOST_TOLD
    return ", ".join(told[:_MOST_TOLD]) + (f" and {more} more" if more > 0 else "")


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"

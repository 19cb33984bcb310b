"""From the answers of two versions to figures that the gate compares, by the form of the task."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from streamer.labels import Answer
from streamer.labels.accuracy import names_it
from streamer.retraining.marks import Figures, Marks, OfClass, correlation_figures, f1_figures
from streamer.retraining.precision import Precision, found_in
from streamer.retraining.truth import Form, names_in, spans

METRICS: Mapping[Form, tuple[str, ...]] = {
    "label": ("accuracy", "balanced_accuracy", "nll"),
    "labels": ("f1",),
    "score": ("spearman",),
    "boxes": ("map50",),
    "entities": ("f1",),
}
"""By form, the metrics that it can be judged by; the first is its usual one."""
_NO_SCORE = -1.0
_NEAR = 0.2


def graded(
    form: Form,
    right: Sequence[Any],
    answers: tuple[Sequence[Any], Sequence[Any]],
    clusters: Sequence[str],
    known: frozenset[str],
) -> Marks:
    """Give both versions' figures.

    Args:
        form: of the answers: all but `label`, which has more metrics.
        right: what labels say.
        answers: the champion's and the challenger's, as they are published.
        clusters: what is drawn together.
        known: labels that the champion knows.
    """
    if form == "score":
        both = [_correlated(given, right) for given in answers]
        classes: dict[str, OfClass] = {}
    elif form == "boxes":
        labels = sorted({name for answer in right for name in names_in(answer)})
        precisions = [Precision(given, right, labels) for given in answers]
        both = [one.mean for one in precisions]
        classes = {
            label: OfClass(_having(right, label), *(one.of(label) for one in precisions))
            for label in labels
        }
    else:
        both = [_counted(given, right, form) for given in answers]
        classes = _recalls(form, right, answers)
    bare = {label.removeprefix("B-").removeprefix("I-") for label in known} | known
    old = np.array([set(names_in(answer)) <= bare for answer in right], bool)
    gains: Figures = both[1] - both[0]
    return Marks(
        metric=METRICS[form][0],
        gains=gains,
        champion=both[0],
        challenger=both[1],
        exact=False,
        clusters=clusters,
        old=old if form != "score" else np.ones(len(right), bool),
        classes=classes,
    )


def off_by(form: Form, answer: Any, right: Any) -> float:
    """Tell how wrong one answer is, from 0 for right to 1."""
    if form == "score":
        return min(abs(_score(answer) - float(right)), 1.0)
    if form == "boxes":
        hits = sum(found_in(answer or (), one) for one in right)
        both = len(answer or ()) + len(right)
        return 1 - 2 * hits / both if both else 0.0
    given, wanted = _items(form, answer), _items(form, right)
    both = len(given) + len(wanted)
    return 1 - 2 * len(given & wanted) / both if both else 0.0


def passes(form: Form, answer: Any, right: Any) -> bool:
    """Tell whether an answer is as it must be: equal, boxes found, a score within 0.2."""
    if form == "score":
        return off_by(form, answer, right) <= _NEAR
    if form == "boxes":
        return all(found_in(answer or (), one) for one in right)
    return _items(form, answer) == _items(form, right)


def wholly_right(form: Form) -> Callable[[Answer, Any], bool]:
    """Give what tells of an answer in the stream whether it was right: what live accuracy counts.

    A similarity is within 0.2 of its score; boxes and entities are all there, and none too many.
    """
    if form in ("label", "labels"):
        return names_it
    most = _NEAR if form == "score" else 0.0
    return lambda answer, right: off_by(form, msgspec.json.decode(answer.given), right) <= most


def _items(form: Form, answer: Any) -> set[Any]:
    if form == "entities":
        return set(spans(answer))
    return set(names_in(answer or []))


def _score(answer: Any) -> float:
    return float(answer["score"]) if answer is not None else _NO_SCORE


def _correlated(answers: Sequence[Any], right: Sequence[Any]) -> Figures:
    given = np.array([_score(answer) for answer in answers])
    return correlation_figures(given, np.array(right, np.float64))


def _counted(answers: Sequence[Any], right: Sequence[Any], form: Form) -> Figures:
    pairs = [(_items(form, a), _items(form, r)) for a, r in zip(answers, right, strict=True)]
    hits = np.array([len(given & wanted) for given, wanted in pairs], np.float64)
    given = np.array([len(one) for one, _ in pairs], np.float64)
    return f1_figures(hits, given, np.array([len(one) for _, one in pairs], np.float64))


def _recalls(
    form: Form, right: Sequence[Any], answers: tuple[Sequence[Any], Sequence[Any]]
) -> dict[str, OfClass]:
    """Give by label how much of it is found, record by record."""
    found = {}
    for label in sorted({name for answer in right for name in names_in(answer)}):
        here = [at for at, answer in enumerate(right) if label in names_in(answer)]
        both = [
            np.array([_recall(form, given[at], right[at], label) for at in here])
            for given in answers
        ]
        found[label] = OfClass(len(here), *both)
    return found


def _recall(form: Form, answer: Any, right: Any, label: str) -> float:
    def of(items: set[Any]) -> set[Any]:
        return {one for one in items if label in (one, one[2] if isinstance(one, tuple) else one)}

    wanted = of(_items(form, right))
    return len(wanted & _items(form, answer)) / len(wanted)


def _having(right: Sequence[Any], label: str) -> int:
    return sum(label in names_in(answer) for answer in right)

"""What labels say, by the task: a label, several, a similarity, boxes, entities."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Literal

from streamer.models import Manifest

Form = Literal["label", "labels", "score", "boxes", "entities"]
_FORMS: Mapping[str, Form] = {
    "image-classification": "label",
    "text-classification": "label",
    "sentence-similarity": "score",
    "object-detection": "boxes",
    "token-classification": "entities",
}
WEIGHABLE: tuple[Form, ...] = ("label", "entities")
"""Where each thing that is learnt has one class, so that classes may weigh the same."""
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_PREFIXES = ("B-", "I-")
_FAR = 1e6  # pixels; no picture is as wide
Box = tuple[float, float, float, float]


def form_of(manifest: Manifest) -> Form:
    """Give the form of a model's labels."""
    form = _FORMS[manifest.task]
    several = manifest.problem_type == "multi_label_classification"
    return "labels" if form == "label" and several else form


def names_in(answer: Any) -> list[str]:
    """Name the labels that an answer has, each once for every time that it has it."""
    if isinstance(answer, str):
        return [answer]
    if not isinstance(answer, list):
        return []
    return [one if isinstance(one, str) else name_of(one) for one in answer]


def name_of(entry: Mapping[str, Any]) -> str:
    """Give the label of a box or an entity."""
    found = entry.get("label", entry.get("entity_group", entry.get("entity", "")))
    return str(found)


def told(answer: Any) -> str:
    """Give an answer as people read it."""
    if answer is None:
        return "nothing"
    if isinstance(answer, float | int):
        return f"{answer:.2f}"
    if isinstance(answer, Mapping):
        return f"{answer['score']:.2f}"
    return ", ".join(sorted(names_in(answer))) or "nothing"


def box_of(entry: Mapping[str, Any]) -> Box:
    """Give a box's corners: of `{"box": {"xmin": …}}`, or of `{"box": [xmin, ymin, xmax, ymax]}`.

    Raises:
        ValueError: it has none.
    """
    box = entry.get("box", entry)
    try:
        numbers = [box[name] for name in _CORNERS] if isinstance(box, Mapping) else list(box)
        left, top, right, bottom = (float(one) for one in numbers)
    except (KeyError, TypeError) as error:
        raise ValueError(f"no box with {', '.join(_CORNERS)}: {entry}") from error
    return left, top, right, bottom


def check_answer(kind: str, answer: Any) -> None:
    """Make sure that what a label says can be learnt from.

    Args:
        kind: `label`, `boxes`, `score` or `entities`.
        answer: of that kind, as far as JSON's types go.

    Raises:
        ValueError: it can't; the message says why.
    """
    if kind == "score" and not isfinite(answer):
        raise ValueError(f"score: no number to learn from: {answer}")
    if kind not in ("boxes", "entities"):
        return
    for one in answer:
        if not name_of(one):
            raise ValueError(f"{kind}: one without a label: {one}")
        if kind == "boxes":
            left, top, right, bottom = box_of(one)
            if not (left < right < _FAR and top < bottom < _FAR):
                raise ValueError(f"boxes: one without an area: {one}")
        else:
            start, end = one.get("start"), one.get("end")
            if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end):
                raise ValueError(f"entities: one without start and end in characters: {one}")


def spans(answer: Sequence[Mapping[str, Any]] | None) -> set[tuple[int, int, str]]:
    """Give entities as (start, end, label)."""
    return {(int(one["start"]), int(one["end"]), name_of(one)) for one in answer or ()}


def grown(known: Sequence[str], seen: set[str], form: Form) -> list[str]:
    """Give a model's labels with the new ones behind them; those that it has keep their places."""
    if form == "score":
        return list(known)
    if form != "entities":
        return [*known, *sorted(seen - set(known))]
    there = {label.removeprefix("B-").removeprefix("I-") for label in known}
    new = sorted(seen - there)
    tagged = any(label.startswith(_PREFIXES) for label in known)
    return [*known, *(f"{p}{label}" for label in new for p in (_PREFIXES if tagged else ("",)))]

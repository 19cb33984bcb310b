"""What a step of a prediction says: an answer of the record, or one of each crop."""

from collections.abc import Iterator
from typing import Any

Box = tuple[int, int, int, int]


def outputs_of(output: Any) -> Iterator[tuple[int | None, Any, Box | None]]:
    """Give the outputs of a step: one of the record, or one of each crop with its box."""
    if isinstance(output, list) and output and "item" in output[0] and "output" in output[0]:
        for entry in output:
            box = entry["box"]
            left, top, right, bottom = (int(box[at]) for at in ("xmin", "ymin", "xmax", "ymax"))
            yield entry["item"], entry["output"], (left, top, right, bottom)
        return
    yield None, output, None


def best_of(output: Any) -> tuple[str | None, float | None]:
    """Give the best label, and how sure an answer is.

    Boxes and entities have no best label, and are as sure as the least sure one of them; how alike
    two sentences are says nothing of how sure that is.
    """
    if not isinstance(output, list) or not output or not isinstance(output[0], dict):
        return None, None
    first = output[0]
    if "label" in first and "box" not in first:
        return first["label"], first.get("score")
    scores = [one["score"] for one in output if "score" in one]
    return None, min(scores, default=None)

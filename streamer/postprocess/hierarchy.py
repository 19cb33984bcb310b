"""Labels with parents: what the groups that a label belongs to score."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from streamer.postprocess.arrays import Floats


class Hierarchy:
    """Groups above labels.

    A group scores the sum of the labels below it where scores share out 1, else (several labels may
    hold at once) the highest of them.
    """

    def __init__(self, labels: Sequence[str], parents: Mapping[str, str]) -> None:
        self._paths = [_path(label, parents) for label in labels]
        self._groups = list(dict.fromkeys(group for path in self._paths for group in path))
        self._below = np.array(
            [[group in path for group in self._groups] for path in self._paths], dtype=np.float32
        ).reshape(len(labels), len(self._groups))

    def __bool__(self) -> bool:
        return bool(self._groups)

    def scores(self, scores: Floats, *, shared: bool) -> list[dict[str, float]]:
        """Give each item's scores of groups.

        Args:
            scores: [N, labels].
            shared: whether they share out 1.
        """
        highest = (scores[:, :, None] * self._below).max(axis=1)
        groups = scores @ self._below if shared else highest
        return [dict(zip(self._groups, row, strict=True)) for row in groups.tolist()]

    def parents(self, index: int, scores: Mapping[str, float]) -> list[dict[str, Any]]:
        """Give the groups of a label, the nearest first."""
        return [{"label": group, "score": scores[group]} for group in self._paths[index]]


def _path(label: str, parents: Mapping[str, str]) -> tuple[str, ...]:
    path: list[str] = []
    above = parents.get(label)
    while above is not None and above not in path:
        path.append(above)
        above = parents.get(above)
    return tuple(path)

"""Classification: scores of labels, best first."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ConfigError, RecordError
from streamer.models.manifest import Manifest, Output
from streamer.postprocess.arrays import (
    Floats,
    OnePart,
    as_floats,
    finite_rows,
    non_finite,
    rows_checked,
)
from streamer.postprocess.hierarchy import Hierarchy
from streamer.records import ModelInput

_TOP_K = 5


def function_of(manifest: Manifest, output: Output, labels: int) -> str:
    """Tell what makes probabilities of an output: softmax, sigmoid or none."""
    chosen = manifest.postprocess.function_to_apply
    if chosen is not None:
        return chosen
    if output.decode == "probabilities" or manifest.problem_type == "regression":
        return "none"
    if manifest.problem_type == "multi_label_classification" or labels == 1:
        return "sigmoid"
    return "softmax"


def applied(function: str, values: Floats) -> Floats:
    """Apply softmax (over the last axis) or sigmoid."""
    if function == "softmax":
        powers = np.exp(values - values.max(axis=-1, keepdims=True))
        softmax: Floats = powers / powers.sum(axis=-1, keepdims=True)
        return softmax
    if function == "sigmoid":
        return sigmoid(values)
    return values


def sigmoid(values: Floats) -> Floats:
    """Give 1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(values))
    return np.where(values >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)


class Classes(OnePart):
    """Labels with scores, at most `top_k`, none below `threshold`."""

    def __init__(
        self, manifest: Manifest, *, threshold: float | None = None, top_k: int | None = None
    ) -> None:
        self._manifest = manifest
        self._labels = manifest.id2label
        own = manifest.postprocess
        self._threshold = threshold if threshold is not None else own.threshold
        self._top_k = top_k or own.top_k or _TOP_K
        scores = [
            name
            for name, output in manifest.outputs.items()
            if output.decode in ("logits", "probabilities")
        ]
        named = [name for name, output in manifest.outputs.items() if output.decode == "label"]
        if len(scores) > 1 or not scores + named:
            raise ConfigError(
                f"model '{manifest.name}': {manifest.task} needs one output with decode: logits "
                f"or probabilities; outputs has {len(scores)}"
            )
        self._scores = scores[0] if scores else None
        self._named = named[0] if named else None

    def interpret(
        self, outputs: Mapping[str, Any], inputs: Sequence[ModelInput]
    ) -> list[Any | RecordError]:
        """Give each item's labels, best first; see `Interpreter.interpret`."""
        if self._scores is None:
            assert self._named is not None  # noqa: S101 - one of the two is there
            names = rows_checked(np.asarray(outputs[self._named]), self._named, len(inputs))
            return [[{"label": str(row), "score": 1.0}] for row in names.reshape(len(inputs))]
        value = outputs[self._scores]
        if isinstance(value, list) and value and isinstance(value[0], Mapping):
            return self._mapped(value)
        output = self._manifest.outputs[self._scores]
        scores = rows_checked(as_floats(value, output), self._scores, len(inputs))
        scores = scores.reshape(len(inputs), -1)
        function = function_of(self._manifest, output, scores.shape[1])
        finite = finite_rows(scores)
        scores = applied(function, np.where(finite[:, None], scores, 0))
        labels, scores = self._named_scores(output, scores)
        answers = self._ranked(scores, finite, labels)
        if self._manifest.parents:
            hierarchy = Hierarchy(labels, self._manifest.parents)
            if hierarchy:
                several = self._manifest.problem_type == "multi_label_classification"
                shared = function != "sigmoid" and not several
                _add_parents(answers, hierarchy, labels, scores, shared=shared)
        return answers

    def _named_scores(self, output: Output, scores: Floats) -> tuple[list[str], Floats]:
        """Name the columns; that of a background goes, whether `id2label` names it or not."""
        count = scores.shape[1]
        if output.background == "last":
            return [self._label(index) for index in range(count - 1)], scores[:, :-1]
        if not output.background:
            return [self._label(index) for index in range(count)], scores
        first = int(len(self._labels) == count)
        return [self._label(index + first) for index in range(count - 1)], scores[:, 1:]

    def _ranked(
        self, scores: Floats, finite: NDArray[np.bool_], labels: list[str]
    ) -> list[Any | RecordError]:
        count = min(self._top_k, scores.shape[1])
        # the count-th best of each row: only what reaches it is sorted
        bars = np.partition(scores, -count, axis=1)[:, -count, None]
        if self._threshold is not None:
            bars = np.maximum(bars, np.float32(self._threshold))
        rows, indices = np.nonzero(scores >= bars)
        values = scores[rows, indices]
        # labels of equal score stand in their own order
        order = np.lexsort((indices, -values, rows))
        pairs = [
            {"label": labels[index], "score": score}
            for index, score in zip(indices[order].tolist(), values[order].tolist(), strict=True)
        ]
        edges = np.searchsorted(rows, np.arange(len(scores) + 1)).tolist()
        return [
            pairs[begin : min(end, begin + count)] if good else non_finite(str(self._scores))
            for (begin, end), good in zip(pairwise(edges), finite.tolist(), strict=True)
        ]

    def _mapped(self, rows: Sequence[Mapping[Any, float]]) -> list[Any | RecordError]:
        """Read a sequence of maps, label to probability (skl2onnx's and ML.NET's ZipMap)."""
        answers: list[Any | RecordError] = []
        for row in rows:
            labels = [self._label(key) if isinstance(key, int) else str(key) for key in row]
            scores = np.array([list(row.values())], dtype=np.float32)
            finite = finite_rows(scores)
            answers += self._ranked(np.where(finite[:, None], scores, 0), finite, labels)
        return answers

    def _label(self, index: int) -> str:
        return self._labels.get(index, f"LABEL_{index}")


def _add_parents(
    answers: Sequence[Any],
    hierarchy: Hierarchy,
    labels: Sequence[str],
    scores: Floats,
    *,
    shared: bool,
) -> None:
    """Put the groups of each label beside it."""
    places = {label: index for index, label in enumerate(labels)}
    for answer, groups in zip(answers, hierarchy.scores(scores, shared=shared), strict=True):
        for entry in () if isinstance(answer, RecordError) else answer:
            entry["parents"] = hierarchy.parents(places[entry["label"]], groups)

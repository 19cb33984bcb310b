"""Sentence similarity: embeddings pooled and compared, or a score read off."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from streamer.errors import ConfigError, RecordError
from streamer.models.manifest import Manifest, Output, TextInput
from streamer.postprocess.arrays import (
    Floats,
    OnePart,
    as_floats,
    finite_rows,
    non_finite,
    rows_checked,
)
from streamer.postprocess.classes import applied
from streamer.records import ModelInput

_PER_TOKEN = 3


class Score(OnePart):
    """A model that reads both sentences and gives one number (a cross-encoder)."""

    def __init__(self, manifest: Manifest, name: str) -> None:
        self._output = manifest.outputs[name]
        self._name = name
        self._function = manifest.postprocess.function_to_apply or "none"
        if self._function == "softmax":
            raise ConfigError(
                f"model '{manifest.name}': postprocess.function_to_apply: a single score takes "
                "sigmoid or none"
            )

    def interpret(
        self, outputs: Mapping[str, Any], inputs: Sequence[ModelInput]
    ) -> list[Any | RecordError]:
        """Give each pair's score; see `Interpreter.interpret`."""
        values = rows_checked(as_floats(outputs[self._name], self._output), self._name, len(inputs))
        values = values.reshape(len(inputs), -1)[:, 0]
        finite = finite_rows(values)
        scores = applied(self._function, np.where(finite, values, 0)).tolist()
        return [
            {"score": score} if good else non_finite(self._name)
            for score, good in zip(scores, finite.tolist(), strict=True)
        ]


class Embedding:
    """A model that reads one sentence; two of its vectors are compared by their cosine."""

    def __init__(self, manifest: Manifest, name: str) -> None:
        self._output = manifest.outputs[name]
        self._name = name
        parts = {
            takes: tensor
            for given in manifest.inputs.values()
            if isinstance(given, TextInput)
            for tensor, takes in given.tensors.items()
        }
        self._mask = parts.get("mask")
        self._ids = parts.get("ids")

    def interpret(
        self, outputs: Mapping[str, Any], inputs: Sequence[ModelInput]
    ) -> list[Any | RecordError]:
        """Give each sentence's vector, of length 1; see `Interpreter.interpret`."""
        values = rows_checked(as_floats(outputs[self._name], self._output), self._name, len(inputs))
        vectors = self._pooled(values, inputs) if values.ndim == _PER_TOKEN else values
        finite = finite_rows(vectors)
        vectors = np.where(finite[:, None], vectors, 0)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = vectors / np.where(lengths > 0, lengths, 1)
        return [
            vector if good else non_finite(self._name)
            for vector, good in zip(vectors, finite.tolist(), strict=True)
        ]

    def combine(self, parts: Sequence[Any]) -> Any:
        """Give the cosine of the two sentences' vectors."""
        first, second = parts
        # rounding may lead a hair beyond 1
        return {"score": min(max(float(np.dot(first, second)), -1.0), 1.0)}

    def _pooled(self, values: Floats, inputs: Sequence[ModelInput]) -> Floats:
        if self._output.pooling == "cls":
            return values[:, 0]
        mask = self._masks(values.shape[1], inputs)
        if not np.isfinite(values).all():
            # what stands at padding must not spread: 0 times NaN is NaN
            values = np.where(mask[:, :, None] > 0, values, 0)
        sums = np.matmul(mask[:, None, :], values)[:, 0]
        pooled: Floats = sums / np.maximum(mask.sum(axis=1, keepdims=True), 1)
        return pooled

    def _masks(self, length: int, inputs: Sequence[ModelInput]) -> Floats:
        """Give the attention masks as they were padded: to the right."""
        masks = np.zeros((len(inputs), length), dtype=np.float32)
        for row, given in zip(masks, inputs, strict=True):
            if self._mask is not None:
                mask = given.arrays[self._mask]
                row[: len(mask)] = mask
            elif self._ids is not None:
                row[: len(given.arrays[self._ids])] = 1
            else:
                row[:] = 1
        return masks


def similarity(manifest: Manifest) -> Score | Embedding:
    """Choose by what the model gives.

    Raises:
        ConfigError: it gives neither an embedding nor a score.
    """
    read = {name: output for name, output in manifest.outputs.items() if output.decode != "ignore"}
    if len(read) == 1:
        ((name, output),) = read.items()
        if output.decode == "embedding":
            return Embedding(manifest, name)
        if _is_score(output, manifest):
            return Score(manifest, name)
    raise ConfigError(
        f"model '{manifest.name}': sentence-similarity needs one output with decode: embedding "
        "(and pooling), or decode: score; set the others to decode: ignore"
    )


def _is_score(output: Output, manifest: Manifest) -> bool:
    regression = output.decode == "logits" and manifest.problem_type == "regression"
    return output.decode == "score" or regression

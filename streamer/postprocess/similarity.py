"""Sentence similarity: embeddings pooled and compared, or a score read off."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from streamer.errors import ConfigError, RecordError
from streamer.models.manifest import Manifest, Output
from streamer.postprocess.arrays import (
    OnePart,
    as_floats,
    finite_rows,
    non_finite,
    rows_checked,
)
from streamer.postprocess.classes import applied
from streamer.postprocess.pooling import Pooling, at_length_1
from streamer.records import ModelInput


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
        self._pooling = Pooling(manifest, name)

    def interpret(
        self, outputs: Mapping[str, Any], inputs: Sequence[ModelInput]
    ) -> list[Any | RecordError]:
        """Give each sentence's vector, of length 1; see `Interpreter.interpret`."""
        vectors, finite = self._pooling.vectors(outputs, inputs)
        return [
            vector if good else non_finite(self._pooling.name)
            for vector, good in zip(at_length_1(vectors), finite.tolist(), strict=True)
        ]

    def combine(self, parts: Sequence[Any]) -> Any:
        """Give the cosine of the two sentences' vectors."""
        first, second = parts
        # rounding may lead a hair beyond 1
        return {"score": min(max(float(np.dot(first, second)), -1.0), 1.0)}


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

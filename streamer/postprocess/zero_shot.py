"""Zero-shot classification: how true each label's sentence is of a text."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from streamer.errors import ConfigError, RecordError
from streamer.models.manifest import Manifest
from streamer.postprocess.arrays import as_floats, finite_rows, non_finite, rows_checked
from streamer.postprocess.classes import applied
from streamer.records import ModelInput


class ZeroShot:
    """Candidate labels with scores, best first, as transformers' pipeline gives them."""

    def __init__(
        self, manifest: Manifest, *, threshold: float | None = None, top_k: int | None = None
    ) -> None:
        read = [name for name, output in manifest.outputs.items() if output.decode == "logits"]
        entailment = [
            index
            for index, label in manifest.id2label.items()
            if label.lower().startswith("entail")
        ]
        if len(read) != 1 or not entailment:
            raise ConfigError(
                f"model '{manifest.name}': zero-shot-classification needs a model of entailment: "
                "one output with decode: logits, and a label in id2label that begins with 'entail'"
            )
        own = manifest.postprocess
        self._output = manifest.outputs[read[0]]
        self._name = read[0]
        self._labels = own.candidate_labels
        self._each = own.multi_label or len(self._labels) == 1
        self._entailment = entailment[0]
        self._contradiction = -1 if self._entailment == 0 else 0
        self._threshold = threshold if threshold is not None else own.threshold
        self._top_k = top_k or own.top_k

    def interpret(
        self, outputs: Mapping[str, Any], inputs: Sequence[ModelInput]
    ) -> list[Any | RecordError]:
        """Give the logits of each pair; see `Interpreter.interpret`."""
        values = rows_checked(as_floats(outputs[self._name], self._output), self._name, len(inputs))
        values = values.reshape(len(inputs), -1)
        return [
            row if good else non_finite(self._name)
            for row, good in zip(values, finite_rows(values).tolist(), strict=True)
        ]

    def combine(self, parts: Sequence[Any]) -> Any:
        """Rank the labels of one text: against each other, or each against its contrary."""
        logits = np.stack(parts)
        if self._each:
            contrast = logits[:, [self._contradiction, self._entailment]]
            scores = applied("softmax", contrast)[:, 1]
        else:
            scores = applied("softmax", logits[:, self._entailment])
        order = np.argsort(-scores, kind="stable")[: self._top_k].tolist()
        if self._threshold is not None:
            order = [index for index in order if scores[index] >= self._threshold]
        return {
            "labels": [self._labels[index] for index in order],
            "scores": [float(scores[index]) for index in order],
        }

"""Embeddings: one vector an item, of what the model gives for each token."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.models.manifest import Manifest, TextInput
from streamer.postprocess.arrays import Floats, as_floats, finite_rows, rows_checked
from streamer.records import ModelInput

_PER_TOKEN = 3
_PER_PLACE = 4


class Pooling:
    """Reads an output with decode: embedding.

    Attributes:
        name: of the output.
    """

    def __init__(self, manifest: Manifest, name: str) -> None:
        self.name = name
        self._output = manifest.outputs[name]
        parts = {
            takes: tensor
            for given in manifest.inputs.values()
            if isinstance(given, TextInput)
            for tensor, takes in given.tensors.items()
        }
        self._mask = parts.get("mask")
        self._ids = parts.get("ids")

    def vectors(
        self, outputs: Mapping[str, Any], inputs: Sequence[ModelInput]
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """Give each item's vector, [N, D], and which of them are numbers; the others are 0."""
        values = self._values(outputs, inputs)
        if values.ndim == _PER_PLACE and self._output.pooling == "mean":
            values = values.mean(axis=(2, 3))
        vectors = self._pooled(values, inputs) if values.ndim == _PER_TOKEN else values
        vectors = vectors.reshape(len(inputs), -1)
        finite = finite_rows(vectors)
        vectors = np.where(finite[:, None], vectors, 0)
        return (at_length_1(vectors) if self._output.normalize else vectors), finite

    def each(self, outputs: Mapping[str, Any], inputs: Sequence[ModelInput]) -> list[Floats]:
        """Give each item's vectors as they are: of its tokens, without those of padding."""
        values = self._values(outputs, inputs)
        if values.ndim != _PER_TOKEN:
            return list(values)
        rows = [
            row[mask > 0]
            for row, mask in zip(values, self._masks(values.shape[1], inputs), strict=True)
        ]
        return [at_length_1(row) for row in rows] if self._output.normalize else rows

    def _values(self, outputs: Mapping[str, Any], inputs: Sequence[ModelInput]) -> Floats:
        values = rows_checked(as_floats(outputs[self.name], self._output), self.name, len(inputs))
        return np.asarray(values, dtype=np.float32)

    def _pooled(self, values: Floats, inputs: Sequence[ModelInput]) -> Floats:
        if self._output.pooling == "cls" and not any(given.pads_left for given in inputs):
            return values[:, 0]
        mask = self._masks(values.shape[1], inputs)
        if self._output.pooling == "cls":
            firsts: Floats = values[np.arange(len(values)), mask.argmax(axis=1)]
            return firsts
        if not np.isfinite(values).all():
            # what stands at padding must not spread: 0 times NaN is NaN
            values = np.where(mask[:, :, None] > 0, values, 0)
        sums = np.matmul(mask[:, None, :], values)[:, 0]
        pooled: Floats = sums / np.maximum(mask.sum(axis=1, keepdims=True), 1)
        return pooled

    def _masks(self, length: int, inputs: Sequence[ModelInput]) -> Floats:
        """Give the attention masks as they were padded."""
        masks: Floats = np.zeros((len(inputs), length), dtype=np.float32)
        for row, given in zip(masks, inputs, strict=True):
            mask: NDArray[Any]
            if self._mask is not None:
                mask = given.arrays[self._mask]
            elif self._ids is not None:
                mask = np.ones(len(given.arrays[self._ids]), np.float32)
            else:
                mask = np.ones(length, dtype=np.float32)
            begin = length - len(mask) if given.pads_left else 0
            row[begin : begin + len(mask)] = mask
        return masks


def at_length_1(vectors: Floats) -> Floats:
    """Divide vectors by their lengths; those of nothing stay."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled = vectors / np.where(lengths > 0, lengths, 1)
    return scaled.astype(np.float32, copy=False)

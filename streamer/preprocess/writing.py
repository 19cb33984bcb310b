"""Models that write texts: what they are told beside the text or the picture."""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streamer.errors import RecordError
from streamer.models.manifest import Generation
from streamer.records import ModelInput, Sample

MAX_NEW_TOKENS = "max_new_tokens"
FORCED_BOS = "forced_bos_token_id"


class _Inner(Protocol):
    @property
    def kind(self) -> Any: ...

    def prepare(self, samples: Sequence[Sample]) -> list[list[ModelInput] | RecordError]: ...

    def collate(self, inputs: Sequence[ModelInput]) -> dict[str, NDArray[Any]]: ...


class WritingPreprocessor:
    """Adds to each batch how long answers may be and in which language they begin.

    The session takes these as `max_new_tokens`, int64 [N], and `forced_bos_token_id`, int64 [N].
    """

    def __init__(self, inner: _Inner, spec: Generation, first: int | None) -> None:
        """Prepare beside what makes inputs of texts or pictures.

        Args:
            inner: makes them.
            spec: how long answers may be.
            first: token that every answer begins with: its language.
        """
        self.kind = inner.kind
        self._inner = inner
        self._spec = spec
        self._first = first

    def prepare(self, samples: Sequence[Sample]) -> list[list[ModelInput] | RecordError]:
        """Make inputs; what will be written counts with what is read."""
        prepared = self._inner.prepare(samples)
        if self.kind != "image":
            for one in (one for parts in prepared if isinstance(parts, list) for one in parts):
                one.cost += self._limit(one)
        return prepared

    def collate(self, inputs: Sequence[ModelInput]) -> dict[str, NDArray[Any]]:
        """Make a batch, with the limit of each item."""
        batch = self._inner.collate(inputs)
        batch[MAX_NEW_TOKENS] = np.array([self._limit(one) for one in inputs], np.int64)
        if self._first is not None:
            batch[FORCED_BOS] = np.full(len(inputs), self._first, np.int64)
        return batch

    def _limit(self, one: ModelInput) -> int:
        most = self._spec.max_new_tokens
        if self._spec.max_length_ratio is None or not one.length:
            return most
        return min(most, max(math.ceil(self._spec.max_length_ratio * one.length), 1))

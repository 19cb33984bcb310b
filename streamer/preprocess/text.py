"""Texts and pairs of sentences to token ids, or to string tensors."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

from streamer.errors import RecordError
from streamer.models.manifest import TextInput
from streamer.preprocess.mismatch import wrong_type
from streamer.preprocess.vocabulary import Vocabulary
from streamer.records import ModelInput, Pair, Sample, Text

Written = str | tuple[str, str]


class TextPreprocessor:
    """Tokenises texts of a wave in one call, and pads a batch to its longest text."""

    kind: Literal["text", "pair"]

    def __init__(
        self,
        kind: Literal["text", "pair"],
        spec: TextInput,
        vocabulary: Vocabulary,
        constants: Mapping[str, NDArray[Any]],
    ) -> None:
        """Prepare to feed the tensors that `spec` names, and beside them the constants."""
        self.kind = kind
        self._spec = spec
        self._vocabulary = vocabulary
        self._constants = constants
        self._dtype = np.dtype(spec.dtype)
        self._ones = np.ones(spec.max_length, self._dtype)
        self._masked = "mask" in spec.tensors.values()

    def prepare(self, samples: Sequence[Sample]) -> list[list[ModelInput] | RecordError]:
        """Tokenise; a pair is one sequence for a cross-encoder, else one part a sentence."""
        written = [written_parts(sample, pair=self._spec.pair) for sample in samples]
        flat = [part for parts in written if isinstance(parts, list) for part in parts]
        # One call for all: it spreads over cores and gives the interpreter free.
        encodings = iter(self._vocabulary.encode(flat))
        return [
            [self._input(next(encodings)) for _ in parts] if isinstance(parts, list) else parts
            for parts in written
        ]

    def _input(self, encoding: Encoding) -> ModelInput:
        length = len(encoding.ids)
        arrays: dict[str, NDArray[Any]] = {}
        for tensor, use in self._spec.tensors.items():
            if use == "mask":
                arrays[tensor] = self._ones[:length]
            else:
                tokens = encoding.ids if use == "ids" else encoding.type_ids
                arrays[tensor] = np.array(tokens, self._dtype)
        # Without a mask the model cannot tell padding from text: equal lengths only.
        group = None if self._masked else length
        return ModelInput(arrays, cost=length, group=group, length=length)

    def collate(self, inputs: Sequence[ModelInput]) -> dict[str, NDArray[Any]]:
        """Pad to the longest text of the batch."""
        longest = max(item.length for item in inputs)
        batch: dict[str, NDArray[Any]] = {}
        for tensor, use in self._spec.tensors.items():
            fill = self._vocabulary.pad_id if use == "ids" else 0
            rows = np.full((len(inputs), longest), fill, self._dtype)
            for row, item in zip(rows, inputs, strict=True):
                if self._vocabulary.pads_left:
                    row[longest - item.length :] = item.arrays[tensor]
                else:
                    row[: item.length] = item.arrays[tensor]
            batch[tensor] = rows
        return {**batch, **self._constants}


class StringPreprocessor:
    """Feeds texts to graphs that tokenise themselves."""

    kind: Literal["text", "pair"]

    def __init__(
        self,
        kind: Literal["text", "pair"],
        spec: TextInput,
        constants: Mapping[str, NDArray[Any]],
    ) -> None:
        """Prepare to feed the string tensors that `spec` names, and beside them the constants."""
        self.kind = kind
        self._spec = spec
        self._constants = constants

    def prepare(self, samples: Sequence[Sample]) -> list[list[ModelInput] | RecordError]:
        """Make one part of a text, two of a pair."""
        prepared: list[list[ModelInput] | RecordError] = []
        for sample in samples:
            parts = written_parts(sample, pair=False)
            prepared.append(
                [self._input(str(part)) for part in parts] if isinstance(parts, list) else parts
            )
        return prepared

    def _input(self, text: str) -> ModelInput:
        text = text.lower() if self._spec.lowercase else text
        array = np.array([text], dtype=object)
        # How the graph splits the text is unknown; a word is about a token.
        return ModelInput(dict.fromkeys(self._spec.tensors, array), cost=text.count(" ") + 1)

    def collate(self, inputs: Sequence[ModelInput]) -> dict[str, NDArray[Any]]:
        """Give each string tensor as [N, 1]."""
        batch = {
            tensor: np.stack([item.arrays[tensor] for item in inputs])
            for tensor in self._spec.tensors
        }
        return {**batch, **self._constants}


def written_parts(sample: Sample, *, pair: bool) -> list[Written] | RecordError:
    """Give what is to be encoded of a sample.

    Args:
        sample: a text, or a pair.
        pair: whether the model takes two sentences in one sequence.
    """
    if isinstance(sample, Pair):
        if pair:
            return [(sample.first, sample.second)]
        return [sample.first, sample.second]
    if isinstance(sample, Text) and not pair:
        return [sample.text]
    return wrong_type(sample, "pairs of sentences" if pair else "texts")

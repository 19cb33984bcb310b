"""Texts and pairs of sentences to token ids, or to string tensors."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from streamer.errors import RecordError
from streamer.models.manifest import TextInput
from streamer.preprocess.mismatch import wrong_type
from streamer.preprocess.vocabulary import Encoded, Tokens, Written
from streamer.records import ModelInput, Pair, Sample, Text, TextPiece


class TextPreprocessor:
    """Tokenises texts of a wave in one call, and pads a batch to its longest text."""

    kind: Literal["text", "pair"]

    def __init__(
        self,
        kind: Literal["text", "pair"],
        spec: TextInput,
        vocabulary: Tokens,
        constants: Mapping[str, NDArray[Any]],
        *,
        places: bool = False,
    ) -> None:
        """Prepare to feed the tensors that `spec` names, and beside them the constants.

        Args:
            kind: whether samples are texts or pairs.
            spec: which tensor takes what, and how long.
            vocabulary: makes tokens.
            constants: further tensors.
            places: whether inputs carry a `TextPiece`, and long texts become several pieces.
        """
        self.kind = kind
        self._spec = spec
        self._vocabulary = vocabulary
        self._constants = constants
        self._places = places
        self._dtype = np.dtype(spec.dtype)
        self._ones = np.ones(spec.max_length, self._dtype)
        self._fixed = spec.max_length if spec.padding == "max_length" else None
        self._masked = "mask" in spec.tensors.values() or self._fixed is not None

    def prepare(self, samples: Sequence[Sample]) -> list[list[ModelInput] | RecordError]:
        """Tokenise; a pair is one sequence for a cross-encoder, else one part a sentence."""
        spec = self._spec
        written = [written_parts(sample, pair=spec.pair, prefix=spec.prefix) for sample in samples]
        flat = [part for parts in written if isinstance(parts, list) for part in parts]
        # One call for all: it spreads over cores and gives the interpreter free.
        encodings = iter(self._vocabulary.encode(flat))
        return [
            [made for part in parts for made in self._inputs(part, next(encodings))]
            if isinstance(parts, list)
            else parts
            for parts in written
        ]

    def _inputs(self, written: Written, encoding: Any) -> list[ModelInput]:
        """Make the input of a text; several of one that is cut into pieces."""
        if not self._places:
            return [self._input(encoding)]
        pieces = [encoding, *(encoding.overflowing if self._spec.stride else ())]
        made = [self._input(piece) for piece in pieces]
        for one, piece in zip(made, pieces, strict=True):
            one.context = TextPiece(str(written), piece)
        return made

    def _input(self, encoding: Encoded) -> ModelInput:
        length = len(encoding.ids)
        arrays: dict[str, NDArray[Any]] = {}
        for tensor, use in self._spec.tensors.items():
            if use == "mask":
                arrays[tensor] = self._ones[:length]
            else:
                tokens = encoding.ids if use == "ids" else encoding.type_ids
                arrays[tensor] = np.array(tokens, self._dtype)
        padded = self._fixed or max(length, self._spec.min_length)
        # Without a mask the model cannot tell padding from text: equal lengths only.
        group = None if self._masked else padded
        left = self._vocabulary.pads_left
        return ModelInput(arrays, cost=padded, group=group, length=length, pads_left=left)

    def collate(self, inputs: Sequence[ModelInput]) -> dict[str, NDArray[Any]]:
        """Pad to the longest text of the batch, or to the length that is fixed."""
        longest = max(item.length for item in inputs)
        longest = self._fixed or max(longest, self._spec.min_length)
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
        written = [written_parts(one, pair=False, prefix=self._spec.prefix) for one in samples]
        texts = [str(part) for parts in written if isinstance(parts, list) for part in parts]
        if self._spec.lowercase:
            texts = [text.lower() for text in texts]
        # One array for all, whose rows are the inputs: an array each takes longer than the rest.
        rows = zip(texts, np.array(texts, dtype=object).reshape(-1, 1), strict=True)
        return [
            [self._input(*next(rows)) for _ in parts] if isinstance(parts, list) else parts
            for parts in written
        ]

    def _input(self, text: str, row: NDArray[Any]) -> ModelInput:
        # How the graph splits the text is unknown; a word is about a token.
        return ModelInput(dict.fromkeys(self._spec.tensors, row), cost=text.count(" ") + 1)

    def collate(self, inputs: Sequence[ModelInput]) -> dict[str, NDArray[Any]]:
        """Give each string tensor as [N, 1]."""
        batch = {
            tensor: np.concatenate([item.arrays[tensor] for item in inputs]).reshape(-1, 1)
            for tensor in self._spec.tensors
        }
        return {**batch, **self._constants}


def written_parts(sample: Sample, *, pair: bool, prefix: str = "") -> list[Written] | RecordError:
    """Give what is to be encoded of a sample.

    Args:
        sample: a text, or a pair.
        pair: whether the model takes two sentences in one sequence.
        prefix: what is written before each text.
    """
    if isinstance(sample, Pair):
        if pair:
            return [(prefix + sample.first, sample.second)]
        return [prefix + sample.first, prefix + sample.second]
    if isinstance(sample, Text) and not pair:
        return [prefix + sample.text]
    return wrong_type(sample, "pairs of sentences" if pair else "texts")

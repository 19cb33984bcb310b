"""A dictionary of words, word to number, as ML.NET's and Keras's text models are fed with."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streamer.errors import ModelError
from streamer.models.manifest import TextInput
from streamer.preprocess.vocabulary import Written


@dataclass(frozen=True, slots=True)
class Numbered:
    """A text as numbers."""

    ids: list[int]
    type_ids: list[int]


class WordIndex:
    """Splits at spaces, as ML.NET does, and looks words up; see `Tokens`."""

    pad_id = 0
    pads_left = False

    def __init__(self, path: Path, spec: TextInput) -> None:
        """Read a dictionary: lines of a word and its number, a heading allowed.

        Raises:
            ModelError: the file cannot be read or is no such dictionary, or the model takes pairs.
        """
        if spec.pair:
            raise ModelError(f"{path}: a dictionary of words takes no pairs; write pair: false")
        self._words = _read(path)
        self._spec = spec

    def encode(self, texts: Sequence[Written]) -> list[Numbered]:
        """Number the words of texts; see `Tokens`."""
        return [self._numbered(str(text)) for text in texts]

    def id_of(self, token: str) -> int | None:
        """Give the number of a word; see `Tokens`."""
        return self._words.get(token)

    def _numbered(self, text: str) -> Numbered:
        words = [
            word for word in (text.lower() if self._spec.lowercase else text).split(" ") if word
        ]
        if len(words) > self._spec.max_length:
            left = self._spec.truncation_side == "left"
            words = words[-self._spec.max_length :] if left else words[: self._spec.max_length]
        ids = [self._words.get(word, self._spec.unk_id) for word in words]
        return Numbered(ids, [0] * len(ids))


def _read(path: Path) -> dict[str, int]:
    words: dict[str, int] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for row in csv.reader(stream):
                if len(row) == 2 and row[1].strip().lstrip("-").isdecimal():  # noqa: PLR2004
                    words[row[0]] = int(row[1])
                elif row and words:
                    raise ModelError(f"{path}: expected word,number; found '{','.join(row):.80}'")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ModelError(f"{path}: no dictionary of words: {error}") from error
    if not words:
        raise ModelError(f"{path}: no dictionary of words: no line has a word and its number")
    return words

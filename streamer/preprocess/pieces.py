"""SentencePiece models with a `vocab.json` beside them (Marian, M2M100)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streamer.errors import ConfigError, ModelError
from streamer.models.manifest import TextInput
from streamer.models.piecewise import piece_numbers
from streamer.preprocess.vocabulary import Written, language_token
from streamer.preprocess.words import Numbered

_OPENED, _CLOSED = ">>", "<<"
_END, _UNKNOWN, _PADDING = "</s>", "<unk>", "<pad>"


class Pieces:
    """Cuts texts into pieces and numbers them as the network has them; see `Tokens`.

    A text ends with `</s>`. It begins with its language's token where `src_lang` names one, and
    with the language wanted where it is written so: `>>de<< A text.`
    """

    pads_left = False

    def __init__(self, path: Path, spec: TextInput) -> None:
        """Read a model and its vocabulary.

        Raises:
            ConfigError: the package sentencepiece is not installed.
            ModelError: a file is missing or is none of its kind, or there is no such language.
        """
        if spec.pair:
            raise ModelError(f"{path}: a SentencePiece model takes no pairs; write pair: false")
        self._model = _loaded(path)
        self._numbers = piece_numbers(path.parent).numbers
        for token in (_END, _UNKNOWN):
            if token not in self._numbers:
                raise ModelError(f"{path.parent}: vocab.json lacks '{token}'")
        self.pad_id = self._numbers.get(_PADDING, 0)
        self._wants_languages = any(piece.startswith(_OPENED) for piece in self._numbers)
        self._spec = spec
        self._before: list[int] = []
        if spec.src_lang is not None:
            found = language_token(self, spec.src_lang)
            if found is None:
                raise ModelError(f"{path}: src_lang: there is no language '{spec.src_lang}'")
            self._before = [found[1]]

    def encode(self, texts: Sequence[Written]) -> list[Numbered]:
        """Encode texts; see `Tokens`."""
        split = [self._language_wanted(str(text)) for text in texts]
        found = self._model.encode([text for _, text in split], out_type=str)
        return [
            self._numbered(before + pieces)
            for (before, _), pieces in zip(split, found, strict=True)
        ]

    def _language_wanted(self, text: str) -> tuple[list[str], str]:
        """Split off a target language written before a text (Marian's models of several)."""
        end = text.find(_CLOSED) + len(_CLOSED)
        if self._wants_languages and text.startswith(_OPENED) and end >= len(_CLOSED):
            return [text[:end]], text[end:]
        return [], text

    def id_of(self, token: str) -> int | None:
        """Give the number of a piece; see `Tokens`."""
        return self._numbers.get(token)

    def _numbered(self, pieces: list[str]) -> Numbered:
        unknown = self._numbers[_UNKNOWN]
        ids = [self._numbers.get(piece, unknown) for piece in pieces]
        room = max(self._spec.max_length - len(self._before) - 1, 0)
        if len(ids) > room:
            ids = ids[len(ids) - room :] if self._spec.truncation_side == "left" else ids[:room]
        ids = [*self._before, *ids, self._numbers[_END]]
        return Numbered(ids, [0] * len(ids))


def _loaded(path: Path) -> Any:
    try:
        import sentencepiece
    except ImportError as error:
        raise ConfigError(
            f"{path}: SentencePiece models need the package sentencepiece, which is not "
            "installed: pip install 'streamer[torch]'"
        ) from error
    try:
        return sentencepiece.SentencePieceProcessor(model_file=str(path))
    except Exception as error:
        raise ModelError(f"{path}: no SentencePiece model: {error}") from error

"""Tokens back to text."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from tokenizers import Tokenizer

from streamer.errors import ConfigError, ModelError
from streamer.models.manifest import Manifest, TextInput
from streamer.models.piecewise import PieceNumbers, piece_numbers
from streamer.models.tokenizer_config import tokenizer_config

_DEFAULT = "tokenizer.json"
_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
# What transformers takes back of the spaces that tokenizers without a decoder of their own leave.
_TIDIED = {
    " .": ".",
    " ?": "?",
    " !": "!",
    " ,": ",",
    " ' ": "'",
    " n't": "n't",
    " 'm": "'m",
    " 's": "'s",
    " 've": "'ve",
    " 're": "'re",
}


class Reader(Protocol):
    """Reads what a model wrote."""

    def text(self, ids: Sequence[int]) -> str:
        """Write tokens as a text, without special ones."""
        ...


class JsonReader:
    """A `tokenizer.json`; see `Reader`.

    Attributes:
        subwords: whether tokens within a word are marked as such (WordPiece).
        unk_id: number of the token for what is in no vocabulary.
    """

    def __init__(self, path: Path) -> None:
        """Read a tokenizer.

        Raises:
            ModelError: the file is missing or no tokenizer.
        """
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:
            raise ModelError(f"{path}: no tokenizer: {error}") from error
        self._decoder: Any = self._tokenizer.decoder
        model = self._tokenizer.model
        config = tokenizer_config(path)
        self._tidy = (
            bool(config.get("clean_up_tokenization_spaces")) and type(model).__name__ != "BPE"
        )
        self.subwords = bool(getattr(model, "continuing_subword_prefix", None))
        self.unk_id = self._unknown(config)

    def text(self, ids: Sequence[int]) -> str:
        """Write tokens as a text; see `Reader`."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return tidied(text) if self._tidy else text

    def joined(self, tokens: Sequence[str]) -> str:
        """Write tokens next to each other as they stand in a text."""
        if self._decoder is None:
            return " ".join(tokens)
        text: str = self._decoder.decode(list(tokens))
        return text

    def _unknown(self, config: dict[str, Any]) -> int | None:
        named = config.get("unk_token") or getattr(self._tokenizer.model, "unk_token", None)
        token = named.get("content") if isinstance(named, dict) else named
        for name in (token, "[UNK]", "<unk>"):
            number: int | None = self._tokenizer.token_to_id(str(name)) if name else None
            if number is not None:
                return number
        return None


class PieceReader:
    """A SentencePiece vocabulary, `vocab.json`; see `Reader`."""

    def __init__(self, numbers: PieceNumbers) -> None:
        self._pieces = {
            number: piece
            for piece, number in numbers.numbers.items()
            if piece not in numbers.special
        }

    def text(self, ids: Sequence[int]) -> str:
        """Write tokens as a text; see `Reader`."""
        pieces: Iterable[str] = (self._pieces.get(number, "") for number in ids)
        return "".join(pieces).replace(_SPACE, " ").strip()


def reader_for(manifest: Manifest, folder: Path | None) -> JsonReader | PieceReader:
    """Make what reads the tokens of a model.

    Raises:
        ConfigError: nothing tells what they mean.
        ModelError: the file that tells it cannot be read.
    """
    names = [
        given.tokenizer
        for given in manifest.inputs.values()
        if isinstance(given, TextInput) and given.tokenizer is not None
    ]
    name = names[0] if names else _DEFAULT
    if folder is None or not (folder / name).is_file():
        raise ConfigError(f"model '{manifest.name}': {manifest.task} needs {name} in its folder")
    if name.endswith(".json"):
        return JsonReader(folder / name)
    return PieceReader(piece_numbers(folder))


def tidied(text: str) -> str:
    """Take back spaces before punctuation, as transformers does."""
    for found, meant in _TIDIED.items():
        text = text.replace(found, meant)
    return text

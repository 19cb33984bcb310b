"""`tokenizer.json`, read once; shared by threads, and never changed after."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tokenizers import Encoding, Tokenizer
from tokenizers.processors import TemplateProcessing

from streamer.errors import ModelError
from streamer.models.manifest import TextInput
from streamer.models.tokenizer_config import tokenizer_config

_PAD_TOKENS = ("[PAD]", "<pad>", "<|padding|>", "<blank>")
_NO_LANGUAGES = {*_PAD_TOKENS, "<s>", "</s>", "<unk>", "[CLS]", "[SEP]"}

Written = str | tuple[str, str]


class Encoded(Protocol):
    """A text as numbers."""

    @property
    def ids(self) -> Sequence[int]:
        """The tokens."""

    @property
    def type_ids(self) -> Sequence[int]:
        """For each, whether it is of the first or of the second sentence."""


class Tokens(Protocol):
    """Makes numbers of texts; of use to several threads.

    Attributes:
        pad_id: what fills a batch's shorter texts.
        pads_left: whether it stands before the text.
    """

    pad_id: int
    pads_left: bool

    def encode(self, texts: Sequence[Written]) -> Sequence[Encoded]:
        """Encode texts, or pairs of texts in one sequence each, cut to the length allowed."""
        ...

    def id_of(self, token: str) -> int | None:
        """Give the number of a token as it is written; None if there is no such token."""
        ...


class Vocabulary:
    """A tokenizer that cuts at a length and leaves padding to the batch; see `Tokens`."""

    def __init__(self, path: Path, spec: TextInput, *, places: bool = False) -> None:
        """Read a tokenizer.

        Args:
            path: a `tokenizer.json`.
            spec: lengths, truncation, language.
            places: whether it is of interest where in the text each token stands.

        Raises:
            ModelError: the file is missing or no tokenizer, or `max_length` leaves no room.
        """
        if not path.is_file():
            raise ModelError(f"{path}: there is no such file")
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:
            raise ModelError(f"{path}: no tokenizer: {error}") from error
        self._places = places
        padding = self._tokenizer.padding or {}
        config = tokenizer_config(path)
        named = config.get("pad_token")
        names = (named["content"] if isinstance(named, dict) else named, *_PAD_TOKENS)
        known = (self._tokenizer.token_to_id(token) for token in names if token)
        found = next((number for number in known if number is not None), 0)
        self.pad_id: int = padding.get("pad_id", found)
        self.pads_left = (config.get("padding_side") or padding.get("direction")) == "left"
        special = self._tokenizer.num_special_tokens_to_add(is_pair=spec.pair)
        if spec.max_length <= special + spec.stride:
            room = f"{special} special tokens" + (f" and a stride of {spec.stride}") * bool(
                spec.stride
            )
            raise ModelError(f"{path}: max_length {spec.max_length} leaves no room beside {room}")
        # Set here and nowhere else: a change while another thread encodes raises
        # "Already borrowed".
        if spec.src_lang is not None:
            self._speak(path, spec.src_lang)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(
            spec.max_length,
            stride=spec.stride,
            strategy=spec.truncation,
            direction=spec.truncation_side,
        )

    def encode(self, texts: Sequence[Written]) -> list[Encoding]:
        """Encode texts; see `Tokens`."""
        if not texts:
            return []
        if self._places:
            return self._tokenizer.encode_batch(texts)
        return self._tokenizer.encode_batch_fast(texts)

    def id_of(self, token: str) -> int | None:
        """Give the number of a token; see `Tokens`."""
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def _speak(self, path: Path, language: str) -> None:
        """Put a language's token where the file has another one's (mBART, NLLB)."""
        found = language_token(self, language)
        if found is None:
            raise ModelError(f"{path}: src_lang: the tokenizer has no language '{language}'")
        processor = self._tokenizer.post_processor
        state = json.loads(processor.__getstate__()) if processor is not None else {}
        single = state.get("single")
        specials = state.get("special_tokens") or {}
        others = [name for name in specials if name not in _NO_LANGUAGES]
        if not single or len(others) != 1:
            raise ModelError(
                f"{path}: src_lang: the tokenizer adds no token of a language to its texts"
            )
        numbers = [(name, part["ids"][0]) for name, part in specials.items() if name not in others]
        self._tokenizer.post_processor = TemplateProcessing(
            single=[_piece(part, others[0], found[0]) for part in single],
            pair=[_piece(part, others[0], found[0]) for part in state["pair"]],
            special_tokens=[*numbers, found],
        )


def language_token(tokens: Tokens, language: str) -> tuple[str, int] | None:
    """Find the token of a language, written as in `en_XX`, `__en__` or `>>en<<`."""
    for name in (language, f"__{language}__", f">>{language}<<"):
        number = tokens.id_of(name)
        if number is not None:
            return name, number
    return None


def _piece(part: dict[str, dict[str, str]], old: str, new: str) -> str:
    """Write a part of a template the way it is read."""
    kind, content = next(iter(part.items()))
    name = f"${content['id']}" if kind == "Sequence" else content["id"]
    return f"{new if name == old else name}:{content['type_id']}"

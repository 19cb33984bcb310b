"""What a model's manifest says of its inputs, made into the preprocessor that does it."""

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ModelError, RecordError
from streamer.models.manifest import (
    ConstantInput,
    ImageBytesInput,
    ImageInput,
    ImageSizeInput,
    Manifest,
    TextInput,
)
from streamer.preprocess.encoded import ImageBytesPreprocessor
from streamer.preprocess.figures import Figures
from streamer.preprocess.hypotheses import HypothesisPreprocessor
from streamer.preprocess.image import ImagePreprocessor
from streamer.preprocess.pieces import Pieces
from streamer.preprocess.text import StringPreprocessor, TextPreprocessor
from streamer.preprocess.vocabulary import Tokens, Vocabulary, language_token
from streamer.preprocess.words import WordIndex
from streamer.preprocess.writing import WritingPreprocessor
from streamer.records import ModelInput, Sample
from streamer.tasks import WRITING

Kind = Literal["image", "text", "pair"]
"""What a model reads: a picture, a text, or two sentences."""

_PAIR_TASK = "sentence-similarity"
_HYPOTHESES = "zero-shot-classification"
_PLACES = "token-classification"
_TOKENIZER = "tokenizer.json"


class Preprocessor(Protocol):
    """Makes model inputs of samples, and batches of model inputs; of use to several threads."""

    @property
    def kind(self) -> Kind:
        """What the model reads."""

    def prepare(self, samples: Sequence[Sample]) -> list[list[ModelInput] | RecordError]:
        """Make the parts of each sample, or say why it can't be.

        Two sentences are two parts for a model that embeds each, one part for a model that reads
        both together; else a sample is one part. Results do not depend on what else is in
        `samples`.
        """

    def collate(self, inputs: Sequence[ModelInput]) -> dict[str, NDArray[Any]]:
        """Make a batch, tensor name to array; all `inputs` are of one group."""


def preprocessor_for(manifest: Manifest, folder: Path) -> Preprocessor:
    """Make the preprocessor of a model version.

    Args:
        manifest: its `model.yaml`.
        folder: where its files lie.

    Raises:
        ModelError: the inputs don't go together, or the tokenizer can't be read.
    """
    constants = {
        name: _constant(name, spec)
        for name, spec in manifest.inputs.items()
        if isinstance(spec, ConstantInput)
    }
    sizes = {
        name: spec for name, spec in manifest.inputs.items() if isinstance(spec, ImageSizeInput)
    }
    varying = {
        name: spec
        for name, spec in manifest.inputs.items()
        if name not in constants and name not in sizes
    }
    if len(varying) != 1:
        listed = ", ".join(f"{name} ({spec.kind})" for name, spec in varying.items()) or "none"
        raise ModelError(
            f"model {manifest.name}: inputs must have one picture or one text; found: {listed}"
        )
    name, spec = next(iter(varying.items()))
    if isinstance(spec, ImageInput):
        pictures = ImagePreprocessor(name, spec, constants, Figures(sizes))
        if manifest.task in WRITING:
            return WritingPreprocessor(pictures, manifest.generation, None)
        return pictures
    if isinstance(spec, ImageBytesInput):
        return ImageBytesPreprocessor(name, spec, constants, Figures(sizes))
    if isinstance(spec, TextInput):
        return _for_text(manifest, name, spec, folder, constants)
    raise AssertionError(spec)


def _for_text(
    manifest: Manifest,
    name: str,
    spec: TextInput,
    folder: Path,
    constants: dict[str, NDArray[Any]],
) -> Preprocessor:
    where = f"model {manifest.name}: inputs.{name}"
    kind: Literal["text", "pair"] = "pair" if spec.pair or manifest.task == _PAIR_TASK else "text"
    uses = set(spec.tensors.values())
    if uses == {"string"}:
        if spec.pair:
            raise ModelError(f"{where}: a string tensor takes no pairs; write pair: false")
        return StringPreprocessor(kind, spec, constants)
    if "string" in uses or "ids" not in uses:
        raise ModelError(
            f"{where}.tensors: write string alone, or ids with mask and types as the model has "
            f"them; found {', '.join(sorted(uses)) or 'none'}"
        )
    tokens = _tokens(where, spec, folder, places=manifest.task == _PLACES)
    if manifest.task == _HYPOTHESES:
        if not spec.pair:
            raise ModelError(f"{where}.pair: zero-shot-classification needs pair: true")
        return HypothesisPreprocessor(manifest, TextPreprocessor(kind, spec, tokens, constants))
    places = manifest.task == _PLACES
    if spec.stride and not places:
        raise ModelError(f"{where}.stride: only token-classification reads a text in pieces")
    texts = TextPreprocessor(kind, spec, tokens, constants, places=places)
    if manifest.task in WRITING:
        return WritingPreprocessor(texts, manifest.generation, _first(manifest, tokens))
    return texts


def _tokens(where: str, spec: TextInput, folder: Path, *, places: bool) -> Tokens:
    """Choose what makes tokens by the name of its file."""
    if spec.tokenizer is None:
        raise ModelError(f"{where}.tokenizer: ids need one, as in tokenizer: {_TOKENIZER}")
    inside = PurePath(spec.tokenizer)
    if inside.is_absolute() or ".." in inside.parts:
        raise ModelError(f"{where}.tokenizer: '{spec.tokenizer}' lies outside of the model")
    if inside.suffix == ".json":
        return Vocabulary(folder / inside, spec, places=places)
    if places:
        raise ModelError(
            f"{where}.tokenizer: where words stand in the text is known by a {_TOKENIZER} only"
        )
    if inside.suffix == ".csv":
        return WordIndex(folder / inside, spec)
    return Pieces(folder / inside, spec)


def _first(manifest: Manifest, tokens: Tokens) -> int | None:
    """Give the token of the language that answers are to be in."""
    language = manifest.generation.tgt_lang
    if language is None:
        return None
    found = language_token(tokens, language)
    if found is None:
        raise ModelError(
            f"model {manifest.name}: tgt_lang: the tokenizer has no language '{language}'"
        )
    return found[1]


def _constant(name: str, spec: ConstantInput) -> NDArray[Any]:
    try:
        return np.asarray(spec.value, dtype=spec.dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"inputs.{name}.value: no {spec.dtype}: {error}") from error

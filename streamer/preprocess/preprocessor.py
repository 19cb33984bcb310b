"""What a model's manifest says of its inputs, made into the preprocessor that does it."""

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ModelError, RecordError
from streamer.models.manifest import ConstantInput, ImageInput, Manifest, TextInput
from streamer.preprocess.image import ImagePreprocessor
from streamer.preprocess.text import StringPreprocessor, TextPreprocessor
from streamer.preprocess.vocabulary import Vocabulary
from streamer.records import ModelInput, Sample

Kind = Literal["image", "text", "pair"]
"""What a model reads: a picture, a text, or two sentences."""

_PAIR_TASK = "sentence-similarity"


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
    varying = {name: spec for name, spec in manifest.inputs.items() if name not in constants}
    if len(varying) != 1:
        listed = ", ".join(f"{name} ({spec.kind})" for name, spec in varying.items()) or "none"
        raise ModelError(
            f"model {manifest.name}: inputs must have one picture or one text; found: {listed}"
        )
    name, spec = next(iter(varying.items()))
    if isinstance(spec, ImageInput):
        return ImagePreprocessor(name, spec, constants)
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
    if spec.tokenizer is None:
        raise ModelError(f"{where}.tokenizer: ids need one, as in tokenizer: tokenizer.json")
    inside = PurePath(spec.tokenizer)
    if inside.is_absolute() or ".." in inside.parts:
        raise ModelError(f"{where}.tokenizer: '{spec.tokenizer}' lies outside of the model")
    return TextPreprocessor(
        kind, spec, Vocabulary(folder / inside, spec.max_length, pair=spec.pair), constants
    )


def _constant(name: str, spec: ConstantInput) -> NDArray[Any]:
    try:
        return np.asarray(spec.value, dtype=spec.dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"inputs.{name}.value: no {spec.dtype}: {error}") from error

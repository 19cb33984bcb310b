"""Tiny encoders of texts, made from configurations, with heads whose answers differ clearly."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parity.made_tokenizers import (
    BERT,
    GPT2,
    ROBERTA,
    XLNET,
    Special,
    byte_pairs,
    saved,
    unigrams,
    word_pieces,
)

ALBERT = Special(
    ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"),
    BERT.single,
    BERT.pair,
    {**BERT.named, "pad_token": "<pad>", "unk_token": "<unk>"},
)
MPNET = Special(
    ("<s>", "<pad>", "</s>", "[UNK]", "<mask>"),
    ROBERTA.single,
    ROBERTA.pair,
    {**ROBERTA.named, "unk_token": "[UNK]"},
)
FUNNEL = Special(
    ("<pad>", "[UNK]", "<cls>", "<sep>", "<mask>"),
    "<cls>:2 $A:0 <sep>:0",
    "<cls>:2 $A:0 <sep>:0 $B:1 <sep>:1",
    {**BERT.named, "pad_token": "<pad>", "cls_token": "<cls>", "sep_token": "<sep>"},
)
TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 80,
}


_ROLES = {
    "pad_token": "[PAD]",
    "bos_token": "[CLS]",
    "eos_token": "[SEP]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
}
_WITHOUT_TYPES = (
    "distilbert",
    "roberta",
    "xlm-roberta",
    "camembert",
    "deberta",
    "deberta-v2",
    "mpnet",
    "modernbert",
    "ibert",
    "longformer",
    "gpt2",
    "bart",
)
_SEEDS, _GAP, _WINNERS, _SPREAD = 200, 0.05, 3, 4


@dataclass(frozen=True)
class Encoder:
    """An architecture.

    Attributes:
        kind: transformers' name of it.
        tokenizer: makes the one that it has.
        sizes: of the configuration.
    """

    kind: str
    tokenizer: Callable[[Special], Any]
    special: Special
    sizes: Mapping[str, Any]

    @property
    def types(self) -> bool:
        """Whether it is told which sentence a token is of."""
        return self.kind not in _WITHOUT_TYPES


def _bert(kind: str, **more: Any) -> Encoder:
    return Encoder(kind, word_pieces, BERT, {**TINY, **more})


def _roberta(kind: str, tokenizer: Callable[[Special], Any], **more: Any) -> Encoder:
    return Encoder(kind, tokenizer, ROBERTA, {**TINY, "type_vocab_size": 1, **more})


ENCODERS: Mapping[str, Encoder] = {
    "BERT": _bert("bert"),
    "DistilBERT": Encoder(
        "distilbert",
        word_pieces,
        BERT,
        {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "max_position_embeddings": 80},
    ),
    "RoBERTa": _roberta("roberta", byte_pairs),
    "XLM-R": _roberta("xlm-roberta", unigrams),
    "CamemBERT": _roberta("camembert", unigrams),
    "DeBERTa": Encoder(
        "deberta",
        byte_pairs,
        ALBERT,
        {
            **TINY,
            "relative_attention": True,
            "pos_att_type": ["c2p", "p2c"],
            "position_biased_input": False,
            "type_vocab_size": 0,
        },
    ),
    "DeBERTa-v2": Encoder(
        "deberta-v2",
        unigrams,
        ALBERT,
        {
            **TINY,
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
            "position_buckets": 16,
            "type_vocab_size": 0,
        },
    ),
    "ALBERT": Encoder("albert", unigrams, ALBERT, {**TINY, "embedding_size": 16}),
    "MPNet": Encoder("mpnet", word_pieces, MPNET, {**TINY, "pad_token_id": 1}),
    "ELECTRA": _bert("electra", embedding_size=16),
    "ModernBERT": Encoder(
        "modernbert",
        byte_pairs,
        BERT,
        {**TINY, "local_attention": 16, "global_attn_every_n_layers": 2},
    ),
    "MobileBERT": _bert(
        "mobilebert",
        embedding_size=32,
        intra_bottleneck_size=32,
        num_feedforward_networks=1,
    ),
    "SqueezeBERT": _bert("squeezebert", embedding_size=32),
    "ConvBERT": _bert("convbert", embedding_size=32, conv_kernel_size=3),
    "ERNIE": _bert("ernie"),
    "FNet": _bert("fnet", tpu_short_seq_length=80),
    "BigBird": Encoder("big_bird", unigrams, ALBERT, {**TINY, "attention_type": "original_full"}),
    "RemBERT": Encoder(
        "rembert",
        unigrams,
        ALBERT,
        {**TINY, "input_embedding_size": 16, "output_embedding_size": 16},
    ),
    "I-BERT": _roberta("ibert", byte_pairs),
    "Funnel": Encoder(
        "funnel",
        word_pieces,
        FUNNEL,
        {
            "block_sizes": [1, 1],
            "num_decoder_layers": 1,
            "d_model": 32,
            "n_head": 2,
            "d_head": 16,
            "d_inner": 64,
        },
    ),
    "XLNet": Encoder(
        "xlnet", unigrams, XLNET, {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64}
    ),
    "Longformer": _roberta("longformer", byte_pairs, attention_window=16),
    "GPT-2": Encoder(
        "gpt2", byte_pairs, GPT2, {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 80}
    ),
    "BART": Encoder(
        "bart",
        byte_pairs,
        ROBERTA,
        {
            "d_model": 32,
            "encoder_layers": 2,
            "decoder_layers": 2,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "max_position_embeddings": 80,
        },
    ),
}


@dataclass(frozen=True)
class Made:
    """A model that was written into a folder.

    Attributes:
        module: its class in transformers, with the weights that are in the folder.
        tokenizer: as transformers reads it from there.
    """

    folder: Path
    module: Any
    tokenizer: Any


def made(  # noqa: PLR0917 - what a model is made of
    name: str,
    auto_class: str,
    labels: Sequence[str],
    texts: Sequence[Any],
    folder: Path,
    accepted: Callable[[Any, Any], bool] = lambda _, __: True,
) -> Made:
    """Make a tiny model and write it into a folder.

    Its head is sharpened over `texts`: the first seed is taken under which each text's best label
    is 0.05 ahead of the next, and three labels or more win.

    Args:
        name: in `ENCODERS`.
        auto_class: of transformers.
        labels: of its head; none for a model without one.
        texts: texts or pairs.
        folder: written to.
        accepted: what module and tokenizer must stand, too.
    """
    encoder = ENCODERS[name]
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if encoder.types else [])]
    side = "left" if encoder.kind == "xlnet" else "right"
    tokenizer = saved(
        encoder.tokenizer(encoder.special),
        encoder.special,
        folder,
        padding_side=side,
        model_input_names=names,
    )
    for seed in range(_SEEDS):
        module = _module(encoder, auto_class, labels, tokenizer, seed)
        clear = not labels or _clear(module, tokenizer, texts, len(labels))
        if clear and accepted(module, tokenizer):
            module.save_pretrained(folder)
            return Made(folder, module, tokenizer)
    message = f"{name}: no seed of {_SEEDS} makes answers that differ clearly"
    raise AssertionError(message)


def _module(
    encoder: Encoder, auto_class: str, labels: Sequence[str], tokenizer: Any, seed: int
) -> Any:
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    numbers = {
        f"{role}_id": tokenizer.convert_tokens_to_ids(encoder.special.named.get(role, unknown))
        for role, unknown in _ROLES.items()
    }
    by_label = {label: number for number, label in enumerate(labels)}
    more = {"id2label": dict(enumerate(labels)), "label2id": by_label} if labels else {}
    config = transformers.AutoConfig.for_model(
        encoder.kind, vocab_size=len(tokenizer), **{**encoder.sizes, **numbers, **more}
    )
    if encoder.kind == "bart":
        config.decoder_start_token_id = config.eos_token_id
        config.forced_eos_token_id = None
    torch.manual_seed(seed)
    module = getattr(transformers, auto_class).from_config(config).eval()
    spread(module)
    return module


def _clear(module: Any, tokenizer: Any, texts: Sequence[Any], labels: int) -> bool:
    """Sharpen the head, and tell whether answers differ clearly then."""
    import torch

    sharpen(module, tokenizer, texts, labels)
    with torch.no_grad():
        scores = torch.cat([each_logits(module, tokenizer, text) for text in texts]).softmax(-1)
    best = scores.topk(2).values
    per_token = len(scores) > len(texts)
    gaps = best[:, 0] - best[:, 1]
    gap = gaps.median() if per_token else gaps.min()
    return bool(gap > _GAP) and len(set(scores.argmax(-1).tolist())) >= _WINNERS


def spread(module: Any) -> None:
    """Draw weights so large that texts come out far apart."""
    import torch

    with torch.no_grad():
        for name, parameter in module.named_parameters():
            # what is not trained (sinusoids) is not in the file either
            if parameter.dim() > 1 and parameter.requires_grad:
                embedding = "embed" in name or name.endswith(("wte.weight", "wpe.weight"))
                fan_in = 1 if embedding else parameter[0].numel()
                parameter.normal_(0, 1.2 / fan_in**0.5)


def sharpen(module: Any, tokenizer: Any, texts: Sequence[Any], labels: int) -> None:
    """Centre and scale the head, so that over `texts` each label wins now and then, clearly."""
    import torch

    heads = [
        layer
        for layer in module.modules()
        if isinstance(layer, torch.nn.Linear) and layer.out_features == labels
    ]
    head = heads[-1]
    with torch.no_grad():
        logits = torch.cat([each_logits(module, tokenizer, text) for text in texts])
        centre, width = logits.mean(dim=0), logits.std(dim=0).clamp(min=1e-6)
        head.weight.mul_((_SPREAD / width)[:, None])
        if head.bias is not None:
            head.bias.copy_((head.bias - centre) * _SPREAD / width)


def each_logits(module: Any, tokenizer: Any, text: Any) -> Any:
    """Give the logits of a text alone, [1, labels], or of its tokens, [tokens, labels]."""
    first, second = text if isinstance(text, tuple) else (text, None)
    given = fed(module, tokenizer(first, second, return_tensors="pt", truncation=True))
    logits = module(**given).logits
    return logits.reshape(-1, logits.shape[-1])


def fed(module: Any, encoded: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of a tokenizer's tensors what the model does not take."""
    import inspect

    takes = inspect.signature(module.forward).parameters
    return {name: tensor for name, tensor in encoded.items() if name in takes}

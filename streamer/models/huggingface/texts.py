"""Models of texts: tokenizer, length, and what their outputs mean."""

from typing import Any

from streamer.models.guess import text_tensors
from streamer.models.huggingface.source import Source

_PIECES = ("source.spm", "sentencepiece.bpe.model")
_LOGITS = ("text-classification", "token-classification", "zero-shot-classification")
_POOLING = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
}


_ZERO_SHOT = "zero-shot-classification"
# Of these the network's table of positions begins behind the number of its padding token.
_OFFSET = ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer")


def text_model(source: Source) -> dict[str, Any]:
    """Read inputs and outputs of a classifier of texts or tokens, or of an embedder of sentences.

    Raises:
        ModelError: something is missing; says what.
    """
    (name, output), postprocess = _text_output(source)
    pair = source.task == "sentence-similarity" and output["decode"] == "score"
    inputs = text_input(source, pair=pair or _is_entailment(source))
    if source.task == _ZERO_SHOT:
        inputs["text"]["truncation"] = "only_first"
    return {
        "inputs": inputs,
        "outputs": {name: output},
        "postprocess": postprocess,
    }


def text_input(source: Source, *, pair: bool = False) -> dict[str, Any]:
    """Read how a text becomes the model's token tensors.

    Raises:
        ModelError: something is missing; says what.
    """
    tensors = text_tensors(source.graph)
    if tensors is None:
        raise source.asking("what goes into its tensors")
    names = ("tokenizer.json", *_PIECES) if source.has("vocab.json") else ("tokenizer.json",)
    found = [name for name in names if source.has(name)]
    if not found:
        raise source.asking("how texts are cut into tokens: tokenizer.json is missing")
    text = {
        "kind": "text",
        "tokenizer": found[0],
        "max_length": _max_length(source),
        "pair": pair,
        "tensors": tensors,
    }
    side = source.read("tokenizer_config.json").get("truncation_side")
    return {"text": text | ({"truncation_side": side} if side else {})}


def _max_length(source: Source) -> int:
    """Take the smallest of what tokenizer, sentence-transformers and network allow."""
    positions = source.config.get("max_position_embeddings")
    if positions and source.config.get("model_type") in _OFFSET:
        positions -= (source.config.get("pad_token_id") or 0) + 1
    limits = [
        source.read("tokenizer_config.json").get("model_max_length"),
        source.read("sentence_bert_config.json").get("max_seq_length"),
        positions,
    ]
    # transformers writes 10**30 for "no limit"
    known = [int(limit) for limit in limits if limit and 0 < limit < 10**6]
    return min(known, default=512)


def _text_output(source: Source) -> tuple[tuple[str, dict[str, Any]], dict[str, Any]]:
    if source.task in _LOGITS:
        return (source.output("logits").name, {"decode": "logits"}), {}
    tensor = source.output("logits", "sentence_embedding", "last_hidden_state")
    rank = len(tensor.shape or ())
    if rank == 2 and (tensor.name == "logits" or tensor.shape == (None, 1)):  # noqa: PLR2004
        regression = source.config.get("problem_type") == "regression"
        function = "none" if regression else "sigmoid"
        return (tensor.name, {"decode": "score"}), {"function_to_apply": function}
    if rank == 2:  # noqa: PLR2004
        return (tensor.name, {"decode": "embedding", "pooling": "none"}), {}
    modes = source.read("1_Pooling/config.json")
    named = modes.get("pooling_mode")
    chosen = [pooling for key, pooling in _POOLING.items() if modes.get(key) or pooling == named]
    if source.task == "feature-extraction" and not modes:
        chosen = ["none"]  # every token's vector, as transformers' pipeline gives them
    if len(chosen) != 1:
        raise source.asking("how token embeddings are pooled: 1_Pooling/config.json is missing")
    output = {"decode": "embedding", "pooling": chosen[0], "normalize": _is_normalized(source)}
    return (tensor.name, output), {}


def _is_entailment(source: Source) -> bool:
    """Whether the labels say that the model judges a sentence by another one."""
    labels = source.config.get("id2label") or {}
    names = labels if isinstance(labels, list) else labels.values()
    entails = any(str(name).lower().startswith("entail") for name in names)
    return source.task == _ZERO_SHOT or (source.task == "text-classification" and entails)


def _is_normalized(source: Source) -> bool:
    """Whether sentence-transformers brings vectors to length 1 as its last step."""
    modules = source.folder / "modules.json"
    return modules.is_file() and '.Normalize"' in modules.read_text(encoding="utf-8")

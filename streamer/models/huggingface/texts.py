"""Models of texts: tokenizer, length, and what their outputs mean."""

from typing import Any

from streamer.models.guess import text_tensors
from streamer.models.huggingface.source import Source

_POOLING = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
}


def text_model(source: Source) -> dict[str, Any]:
    """Read inputs and outputs of a classifier of texts or an embedder of sentences.

    Raises:
        ModelError: something is missing; says what.
    """
    (name, output), postprocess = _text_output(source)
    pair = source.task == "sentence-similarity" and output["decode"] == "score"
    return {
        "inputs": text_input(source, pair=pair),
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
    if not source.has("tokenizer.json"):
        raise source.asking("how texts are cut into tokens: tokenizer.json is missing")
    return {
        "text": {
            "kind": "text",
            "tokenizer": "tokenizer.json",
            "max_length": _max_length(source),
            "pair": pair,
            "tensors": tensors,
        }
    }


def _max_length(source: Source) -> int:
    """Take the smallest of what tokenizer, sentence-transformers and network allow."""
    limits = [
        source.read("tokenizer_config.json").get("model_max_length"),
        source.read("sentence_bert_config.json").get("max_seq_length"),
        source.config.get("max_position_embeddings"),
    ]
    # transformers writes 10**30 for "no limit"
    known = [int(limit) for limit in limits if limit and 0 < limit < 10**6]
    return min(known, default=512)


def _text_output(source: Source) -> tuple[tuple[str, dict[str, Any]], dict[str, Any]]:
    if source.task == "text-classification":
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
    chosen = [pooling for key, pooling in _POOLING.items() if modes.get(key)]
    if len(chosen) != 1:
        raise source.asking("how token embeddings are pooled: 1_Pooling/config.json is missing")
    return (tensor.name, {"decode": "embedding", "pooling": chosen[0]}), {}

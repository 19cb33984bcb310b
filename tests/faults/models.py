"""A classifier of texts with words that are poison to it."""

from pathlib import Path

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

WORDS = ("[UNK]", "[PAD]", "good", "bad", "deadly", "nan", "outside")
DEADLY = WORDS.index("deadly")
"""Token that harms nobody, unless a daemon is told to die of it."""
_KNOWN = len(WORDS) - 1


def moods(models: Path, *, broken: bool = False) -> Path:
    """Write a model that says whether a text is good or bad.

    The word `nan` makes a row of numbers that are none, `outside` fails the whole batch: its token
    lies outside of the table. A broken model makes such numbers of every text.
    """
    weights = np.zeros((_KNOWN, 2), np.float32)
    weights[WORDS.index("good"), 0] = weights[WORDS.index("bad"), 1] = 4
    weights[WORDS.index("nan")] = np.inf
    if broken:
        weights[:] = np.inf
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["weights", "input_ids"], ["rows"]),
            helper.make_node("ReduceMean", ["rows"], ["logits"], axes=[1], keepdims=0),
        ],
        "moods",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["N", "L"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(weights, "weights")],
    )
    made = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])
    folder = models / "moods"
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(made, folder / "model.onnx")
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106 - no password
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "model.yaml").write_text(yaml.safe_dump(_MANIFEST, sort_keys=False))
    return folder


_MANIFEST = {
    "name": "moods",
    "version": "1",
    "task": "text-classification",
    "id2label": {0: "good", 1: "bad"},
    "inputs": {
        "text": {
            "kind": "text",
            "tokenizer": "tokenizer.json",
            "max_length": 32,
            "tensors": {"input_ids": "ids"},
        }
    },
    "outputs": {"logits": {"decode": "logits"}},
}

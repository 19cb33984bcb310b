"""Make `sentences`, a static sentence embedder distilled from all-MiniLM-L6-v2.

    python -m streamer.demo.training.embedder --evaluate stsb_en_dev.jsonl

Nothing is fitted on sentences. Each word piece goes through MiniLM alone; the vectors are cut to
256 dimensions by PCA and weighted by smooth inverse frequency (Arora et al. 2017), with
frequencies from the vocabulary's rank by Zipf's law. The weights are folded into the table: the
mean over a sentence's tokens then is the weighted mean up to a factor, which cosine ignores.
Takes about a minute on 2 cores and needs the `train` extra.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from scipy.stats import spearmanr
from tokenizers import Tokenizer

from streamer.demo.training.minilm import FIRST_WORD, SPECIAL, MiniLM, word_piece_tokenizer
from streamer.demo.training.text_graph import GraphBuilder
from streamer.demo.training.text_version import MODELS, write_manifest

DIMENSIONS = 256
SMOOTHING = 1e-3
"""The constant a of SIF's weight a / (a + p), as its paper recommends."""
_FAINT = 1e-4
"""Length of [CLS]: nothing beside a word, yet an empty text has a direction."""
_SCRIPT = "streamer.demo.training.embedder"


def main() -> None:
    """Distil, write the version, and measure it where a file of scored pairs is given."""
    parser = argparse.ArgumentParser(description="Make the demo's sentence embedder.")
    parser.add_argument("--output", type=Path, default=MODELS / "sentences" / "1")
    parser.add_argument(
        "--evaluate", type=Path, help="JSON lines of text1, text2, score: STS-B's dev set"
    )
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    teacher = MiniLM()
    _save(sentence_table(teacher), options.output / "model.onnx")
    word_piece_tokenizer(teacher.pieces).save(str(options.output / "tokenizer.json"), pretty=False)
    metrics = {}
    if options.evaluate:
        metrics["stsb_dev_spearman"] = round(_spearman(options.output, options.evaluate), 4)
    print(metrics or "not measured: no --evaluate")
    keys = {
        "task": "sentence-similarity",
        "outputs": {"last_hidden_state": {"decode": "embedding", "pooling": "mean"}},
        "metrics": metrics,
    }
    write_manifest(options.output, _SCRIPT, keys, max_length=256)


def sentence_table(teacher: MiniLM) -> NDArray[np.float32]:
    """Return one weighted vector a word piece: float32 [V, 256]."""
    reduced = principal_components(teacher.token_vectors(), DIMENSIONS)
    rank = np.maximum(np.arange(len(reduced)) - FIRST_WORD + 1, 1)
    frequency = 1 / (rank * np.log(len(reduced)))
    table = reduced * (SMOOTHING / (SMOOTHING + frequency))[:, None]
    silent = [at for at, piece in enumerate(teacher.pieces) if _is_silent(piece)]
    table[silent] = 0
    table[teacher.pieces.index("[CLS]"), 0] = _FAINT
    return table.astype(np.float32)


def principal_components(vectors: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Centre on the words' mean and keep the directions in which words differ most."""
    centred = vectors - vectors[FIRST_WORD:].mean(axis=0)
    scatter = centred[FIRST_WORD:].T @ centred[FIRST_WORD:]
    _, directions = np.linalg.eigh(scatter.astype(np.float64))
    kept: NDArray[np.float32] = (centred @ directions[:, ::-1][:, :count]).astype(np.float32)
    return kept


def _is_silent(piece: str) -> bool:
    return piece in SPECIAL or piece.startswith("[unused")


def _save(table: NDArray[np.float32], path: Path) -> None:
    """Write the graph: look each token's row up, and clear what is padding."""
    graph = GraphBuilder()
    rows = graph.rows(table, "tokens")
    output = graph.node("Mul", [rows, graph.float_mask()], "last_hidden_state")
    graph.save(path, output, ["batch", "length", table.shape[1]])


def _spearman(folder: Path, pairs: Path) -> float:
    """Correlate the cosines of the shipped files with people's scores."""
    scored = [json.loads(line) for line in pairs.read_text(encoding="utf-8").splitlines()]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))

    def embed(text: str) -> NDArray[np.float32]:
        ids = np.array([tokenizer.encode(text).ids])
        [tokens] = session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        mean: NDArray[np.float32] = tokens[0].mean(axis=0)
        return mean / np.linalg.norm(mean)

    cosines = [float(embed(pair["text1"]) @ embed(pair["text2"])) for pair in scored]
    return float(spearmanr(cosines, [pair["score"] for pair in scored]).statistic)


if __name__ == "__main__":
    main()

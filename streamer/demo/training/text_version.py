"""Writes `model.yaml` beside the files of a text model."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

MODELS = Path(__file__).parent.parent / "models"
"""Where the demo's models are shipped."""


def write_manifest(folder: Path, script: str, keys: Mapping[str, Any], max_length: int) -> None:
    """Write the manifest of a version made from scratch.

    Args:
        folder: `NAME/VERSION`, with its `model.onnx` and `tokenizer.json`.
        script: the module that made it.
        keys: task, outputs, metrics and what else is particular to the model.
        max_length: tokens that are read of a text.
    """
    text = {
        "kind": "text",
        "tokenizer": "tokenizer.json",
        "max_length": max_length,
        "pair": False,
        "tensors": {"input_ids": "ids", "attention_mask": "mask"},
    }
    manifest = {
        "name": folder.parent.name,
        "version": folder.name,
        "task": keys["task"],
        "files": {name: _digest(folder / name) for name in ("model.onnx", "tokenizer.json")},
        "inputs": {"text": text},
        **{key: value for key, value in keys.items() if key != "task"},
        "lineage": {"parent": None, "seed": 0, "script": script},
        "license": "Apache-2.0",
    }
    page = yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True, width=100)
    (folder / "model.yaml").write_text(page, encoding="utf-8")


def _digest(path: Path) -> str:
    return f"sha256:{sha256(path.read_bytes()).hexdigest()}"

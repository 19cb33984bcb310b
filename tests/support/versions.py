"""Versions of the tiny models: the right one, and ones that are wrong in some way."""

from pathlib import Path
from typing import Any

import onnx
import yaml
from onnx import helper

from support import tiny


def version(models: Path, name: str, number: str, kind: str = "good", **changed: Any) -> Path:
    """Write `models/NAME/NUMBER`, a tiny classifier of texts.

    Args:
        models: the registry's folder.
        name: the model's name.
        number: the version.
        kind: `good`, `wrong` (the two labels swapped), `nan` (no number for a text with a known
            word in it), or `slow` (the same answers after a hundred times the work).
        changed: keys of the manifest.
    """
    place = f"{name}/{number}"
    slow = kind == "slow"
    folder = tiny.slow_model(models, place, 3, 256) if slow else tiny.text_model(models, place)
    if kind in {"wrong", "nan"}:
        graph = onnx.load(folder / "model.onnx")
        graph.graph.node[-1].output[0] = "right"
        graph.graph.node.append(helper.make_node("Neg", ["right"], ["against"]))
        last = "Sqrt" if kind == "nan" else "Identity"
        graph.graph.node.append(helper.make_node(last, ["against"], ["logits"]))
        onnx.save(graph, folder / "model.onnx")
    manifest = yaml.safe_load((folder / "model.yaml").read_text())
    manifest |= {"name": name, "version": number, **changed}
    (folder / "model.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))
    return folder


def picture_version(models: Path, name: str, number: str, **changed: Any) -> Path:
    """Write `models/NAME/NUMBER`, a tiny classifier of pictures."""
    folder = tiny.picture_model(models, f"{name}/{number}")
    manifest = yaml.safe_load((folder / "model.yaml").read_text())
    manifest |= {"name": name, "version": number, **changed}
    (folder / "model.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))
    return folder

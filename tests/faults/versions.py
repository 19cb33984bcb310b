"""Versions of the classifier of texts in a registry: whole ones, and broken in one way each."""

import hashlib
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import yaml

from faults.models import moods

NAME = "moods"
Fault = Literal["corrupt", "labels", "nan", "golden", "crash"]
CRASHES = "crashes-at-load"
"""Part of the name of a model file that kills the process which opens it: see child/."""


def add(registry: Path, version: str, fault: Fault | None = None, **changed: Any) -> Path:
    """Add a version to a registry."""
    folder = registry / NAME / version
    with TemporaryDirectory(dir=registry.parent) as made:
        part = moods(Path(made), broken=fault == "nan")
        file = part / "model.onnx"
        if fault == "crash":
            file = file.rename(part / f"{CRASHES}.onnx")
        _golden(part, "bad" if fault == "golden" else "good")
        manifest = yaml.safe_load((part / "model.yaml").read_text())
        files = [one for one in sorted(part.rglob("*")) if one.is_file() and one.suffix != ".yaml"]
        manifest |= {"version": version, "files": {_name(one, part): _sum(one) for one in files}}
        if fault == "labels":
            manifest["id2label"] = {0: "bad", 1: "good"}
            (part / "golden" / "records.jsonl").unlink()
            del manifest["files"]["golden/records.jsonl"]
        (part / "model.yaml").write_text(yaml.safe_dump({**manifest, **changed}, sort_keys=False))
        if fault == "corrupt":
            content = bytearray(file.read_bytes())
            content[len(content) // 2] ^= 0xFF
            file.write_bytes(content)
        folder.parent.mkdir(parents=True, exist_ok=True)
        part.rename(folder)
    return folder


def _golden(folder: Path, best: str) -> None:
    """Keep what the model says of one word: a logit of 4 against one of 0."""
    sure, other = 0.98201, 0.01799
    labels = [best, "bad" if best == "good" else "good"]
    said = [
        {"label": label, "score": score} for label, score in zip(labels, (sure, other), strict=True)
    ]
    (folder / "golden").mkdir()
    line = json.dumps({"text": "good", "output": said})
    (folder / "golden" / "records.jsonl").write_text(f"{line}\n")


def _name(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix()


def _sum(file: Path) -> str:
    return f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"

"""A version that was made of another one, in a folder of its own."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from streamer.errors import ConfigError
from streamer.models import Version
from streamer.models.golden import FOLDER
from streamer.models.location import MANIFEST
from streamer.models.packing import described, files_of
from streamer.models.version import load_version

TRAINABLE = "trainable"
"""Folder of a version: weights and description of a network that is learnt on."""


@dataclass(frozen=True)
class Challenger:
    """A version that was made.

    Attributes:
        version: in a folder of its own.
        parity: how far its file is from what was learnt, as a share of the largest value.
        tried: what was tried on the way, or each epoch.
        text: how it was made, in a sentence.
    """

    version: Version
    parity: float
    tried: tuple[dict[str, Any], ...]
    text: str


class TooLittleError(ConfigError):
    """There is nothing to learn from yet."""


def successor(
    champion: Version,
    folder: Path,
    labels: Sequence[str],
    write: Callable[[Path], None],
    postprocess: Mapping[str, Any] | None = None,
) -> Version:
    """Write a version's folder: all that the champion has, another model, more labels.

    Args:
        champion: what it is made of.
        folder: where its files go; must not exist.
        labels: those that it answers; none where its task has none.
        write: writes the model file.
        postprocess: what of the manifest's `postprocess` is other than before.
    """
    folder.mkdir(parents=True)
    for name in files_of(champion):
        if name.split("/")[0] == TRAINABLE or champion.folder / name == champion.file:
            continue
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(champion.folder / name, copy)
    _without_answers(folder)
    file = folder / champion.file.relative_to(champion.folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    write(file)
    content = described(champion)
    if labels:
        content["id2label"] = dict(enumerate(labels))
        content.pop("labels", None)
    for gone in ("files", "metrics", "lineage"):
        content.pop(gone, None)
    if postprocess:
        content["postprocess"] = {**content.get("postprocess", {}), **postprocess}
    written = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    (folder / MANIFEST).write_text(written, encoding="utf-8")
    return load_version(str(folder), beside=folder, models_dir=folder)


def _without_answers(folder: Path) -> None:
    """Keep the inputs of golden records, and drop the answers of the version before."""
    file = folder / FOLDER / "records.jsonl"
    if not file.is_file():
        return
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]
    kept = [{key: value for key, value in one.items() if key != "output"} for one in lines]
    text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in kept)
    file.write_text(text, encoding="utf-8")

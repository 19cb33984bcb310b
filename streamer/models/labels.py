"""Files of labels: one a line, a table with the labels' parents, or JSON; and where they are."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streamer.errors import ModelError

_MAX_BYTES = 2**24
_COLUMNS = ("index", "label", "parent")
_SUFFIXES = (".txt", ".names", ".labels", ".csv", ".json")
# `{}` is the model file's own name. Of others the folder may be full.
_PATTERNS = ("{}.names", "{}.labels", "{}_labels", "{}-labels", "{}.classes")
_COMMON = ("labels", "classes", "class_names", "obj", "label_map")
_INDEXED = re.compile(r"(\d+)(?:[ \t]*[:,;=][ \t]*|[ \t]+)(\S.*)")

Labels = tuple[dict[int, str], dict[str, str]]


def labels_beside(file: Path) -> Path | None:
    """Find the labels of a bare model file: under its own name, or one that is common for them.

    `signs.names`, `signs_labels.txt`, `labels.txt`, `classes.txt`, `obj.names`, …; else the only
    file that ends with `.names`.
    """
    stems = [*(pattern.format(file.stem) for pattern in _PATTERNS), *_COMMON]
    for stem in stems:
        for suffix in ("", *_SUFFIXES):
            place = file.parent / f"{stem}{suffix}"
            if place.suffix in _SUFFIXES and place.is_file():
                return place
    named = sorted(file.parent.glob("*.names"))
    return named[0] if len(named) == 1 else None


def read_labels(file: Path) -> Labels:
    """Read labels by index, and which label or group stands under which.

    Args:
        file: `.csv` with a head line of `index`, `label` and perhaps `parent`, where a line without
            an index describes a group; `.json`, a list, or labels by index; any other has a label
            a line, the first of index 0, or `index label` in every line.

    Raises:
        ModelError: the file is none of these; says the line.
    """
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise ModelError(f"{file}: larger than 16 MiB, which no list of labels is")
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{file}: cannot be read as labels: {error}") from error
    if file.suffix == ".json":
        return _listed(file, text), {}
    if file.suffix != ".csv":
        return _by_line(text), {}
    labels: dict[int, str] = {}
    parents: dict[str, str] = {}
    for line, index, label, parent in _rows(file, text):
        if index is not None and index in labels:
            raise ModelError(f"{file}: line {line}: index {index} is there twice")
        if label in parents and parents[label] != parent:
            raise ModelError(f"{file}: line {line}: '{label}' has two parents")
        if index is not None:
            labels[index] = label
        if parent:
            parents[label] = parent
    _refuse_circles(file, parents)
    return labels, parents


def _by_line(text: str) -> dict[int, str]:
    """Read a label a line; where each line begins with another number, that is its index."""
    lines = [line.strip() for line in text.rstrip().split("\n")]
    matches = [_INDEXED.fullmatch(line) for line in lines if line]
    told = {int(match[1]): match[2] for match in matches if match}
    if not told or len(told) < len(matches) or max(told) > 2 * len(told):
        return dict(enumerate(lines))
    # lists that leave out what is never answered: COCO's 80 of 90
    return {index: told.get(index, f"LABEL_{index}") for index in range(max(told) + 1)}


def _listed(file: Path, text: str) -> dict[int, str]:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file}: is no JSON: {error}") from error
    pairs = dict(enumerate(read)) if isinstance(read, list) else read
    if isinstance(pairs, dict) and pairs and all(type(said) is int for said in pairs.values()):
        pairs = {index: label for label, index in pairs.items()}  # as label2id has it
    if not isinstance(pairs, dict) or not all(str(index).isdecimal() for index in pairs):
        raise ModelError(f"{file}: expected a list of labels, or labels by index")
    return {int(index): _label(file, told) for index, told in pairs.items()}


def _label(file: Path, told: Any) -> str:
    """Give the last of several names, as ImageNet's [number, name] has it."""
    last = told[-1] if isinstance(told, list) and told else told
    if not isinstance(last, str):
        raise ModelError(f"{file}: a label is a text; found {last!r}")
    return last


def _rows(file: Path, text: str) -> Iterator[tuple[int, int | None, str, str]]:
    table = csv.DictReader(text.splitlines())
    head = table.fieldnames or []
    if not {"index", "label"} <= set(head) or set(head) - set(_COLUMNS):
        raise ModelError(
            f"{file}: line 1: expected index,label or index,label,parent; found {head}"
        )
    for line, row in enumerate(table, 2):
        told, label = (row["index"] or "").strip(), (row["label"] or "").strip()
        if not label or (told and not told.isdecimal()):
            raise ModelError(
                f"{file}: line {line}: expected an index (none for a group) and a label"
            )
        yield line, int(told) if told else None, label, (row.get("parent") or "").strip()


def _refuse_circles(file: Path, parents: dict[str, str]) -> None:
    for label in parents:
        seen = {label}
        above = parents.get(label)
        while above is not None:
            if above in seen:
                raise ModelError(f"{file}: '{label}' is its own parent, by way of '{above}'")
            seen.add(above)
            above = parents.get(above)

"""Files of labels: one a line, or a table with the labels' parents."""

import csv
from collections.abc import Iterator
from pathlib import Path

from streamer.errors import ModelError

_MAX_BYTES = 2**24
_COLUMNS = ("index", "label", "parent")


def read_labels(file: Path) -> tuple[dict[int, str], dict[str, str]]:
    """Read labels by index, and which label or group stands under which.

    Args:
        file: `.txt`, a label a line, the first of index 0; or `.csv` with a head line of `index`,
            `label` and perhaps `parent`, where a line without an index describes a group.

    Raises:
        ModelError: the file is no such table; says the line.
    """
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise ModelError(f"{file}: larger than 16 MiB, which no list of labels is")
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{file}: cannot be read as labels: {error}") from error
    if file.suffix != ".csv":
        return dict(enumerate(text.rstrip("\n").split("\n"))), {}
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

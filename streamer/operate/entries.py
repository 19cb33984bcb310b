"""Files to what they hold: a picture each, or a record for each line or row."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from streamer.errors import ConfigError

_PICTURES = {
    ".bmp": "image/bmp",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".webp": "image/webp",
}
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
_LINES = {".txt": TEXT, ".jsonl": JSON, ".ndjson": JSON}
_STANDARD_INPUT = Path("-")


@dataclass(frozen=True, slots=True)
class Entry:
    """One record's worth of a file.

    Attributes:
        origin: where it is from, for people: a file, with the line if there are several in it.
        name: the file's name without its ending.
        read_bytes: what was read of the file for it.
    """

    origin: str
    name: str
    value: bytes
    content_type: str
    read_bytes: int

    @property
    def is_picture(self) -> bool:
        """Whether the file's name says that it is a picture."""
        return self.content_type.startswith("image/")

    def fields(self) -> Mapping[str, Any]:
        """Give the fields of a JSON object; none if it is something else."""
        if self.content_type != JSON:
            return {}
        try:
            content = json.loads(self.value)
        except (ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}


def found_files(paths: Sequence[Path]) -> list[Path]:
    """Put the pictures in place of folders.

    Raises:
        ConfigError: something is not there, or a folder has no picture.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            pictures = sorted(file for file in path.rglob("*") if file.suffix.lower() in _PICTURES)
            if not pictures:
                known = ", ".join(_PICTURES)
                raise ConfigError(f"{path}: no pictures in this folder ({known})")
            found += pictures
        elif path.is_file() or path == _STANDARD_INPUT:
            found.append(path)
        else:
            raise ConfigError(f"{path}: there is no such file")
    return found


def total_bytes(files: Sequence[Path]) -> int | None:
    """Add up what there is to read; None if nobody knows."""
    if _STANDARD_INPUT in files:
        return None
    return sum(file.stat().st_size for file in files)


def entries(files: Iterable[Path]) -> Iterator[Entry]:
    """Read files, one record's worth after the other.

    Raises:
        ConfigError: a file cannot be read.
    """
    for file in files:
        try:
            yield from _entries_of(file)
        except OSError as error:
            raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from error


def _entries_of(file: Path) -> Iterator[Entry]:
    suffix = file.suffix.lower()
    if file == _STANDARD_INPUT:
        yield from _lines(sys.stdin.buffer, "standard input", "stdin", TEXT)
    elif suffix in _LINES:
        with file.open("rb") as stream:
            yield from _lines(stream, str(file), file.stem, _LINES[suffix])
    elif suffix == ".csv":
        yield from _rows(file)
    else:
        value = file.read_bytes()
        kinds = {**_PICTURES, ".json": JSON}
        kind = kinds.get(suffix, "application/octet-stream")
        yield Entry(str(file), file.stem, value, kind, len(value))


def _lines(stream: BinaryIO, origin: str, name: str, kind: str) -> Iterator[Entry]:
    """Give each line that is not empty, as it is: what is wrong with it is the daemon's to say."""
    for number, line in enumerate(stream, 1):
        value = line.rstrip(b"\r\n")
        if value.strip():
            yield Entry(f"{origin}:{number}", name, value, kind, len(line))


def _rows(file: Path) -> Iterator[Entry]:
    """Give the rows of a CSV file with a header as JSON objects of texts."""
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        try:
            names = list(reader.fieldnames or ())
            if not names or len(set(names)) < len(names) or not all(names):
                raise ConfigError(f"{file}:1: expected a header line that names each column once")
            for row in reader:
                if None in row or None in row.values():
                    line = reader.line_num
                    raise ConfigError(f"{file}:{line}: expected {len(names)} cells as in line 1")
                value = json.dumps(row, ensure_ascii=False).encode()
                read = sum(len(cell) + 1 for cell in row.values())
                yield Entry(f"{file}:{reader.line_num}", file.stem, value, JSON, read)
        except (csv.Error, UnicodeDecodeError) as error:
            raise ConfigError(f"{file}:{reader.line_num + 1}: no CSV in UTF-8: {error}") from error

"""Copies of input records, kept for labels that come after retention has passed the records."""

import io
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from streamer.records import Record
from streamer.retraining.config import Capture
from streamer.retraining.place import Place
from streamer.retraining.store import parquet

_FOLDER = "capture"
_MOST_HELD = 200
_FLUSH_AFTER_S = 10.0
_DAY_S = 86_400
Spot = tuple[str, int, int]


@dataclass
class Captured:
    """The copies, in files by the day on which they were made.

    What is held back for the next file is lost by a kill, and kept anew when the predictions of the
    last days are read again.

    Attributes:
        place: where they are.
        config: how much, and how long.
    """

    place: Place
    config: Capture
    _where: dict[Spot, str] = field(default_factory=dict)
    _sizes: dict[str, int] = field(default_factory=dict)
    _held: dict[Spot, Record] = field(default_factory=dict)
    _forgotten: set[Spot] = field(default_factory=set)
    _since: float = field(default_factory=time.monotonic)

    def open(self) -> "Captured":
        """Read what is there."""
        for day in self.place.names(_FOLDER):
            for name in self.place.names(f"{_FOLDER}/{day}"):
                path = f"{_FOLDER}/{day}/{name}"
                content = self.place.read(path)
                if content is not None:
                    self._sizes[path] = len(content)
                    for row in _rows(content, ["topic", "partition", "offset"]):
                        self._where[row["topic"], row["partition"], row["offset"]] = path
        return self

    def __contains__(self, spot: Spot) -> bool:
        return spot in self._where or spot in self._held or spot in self._forgotten

    def keep(self, record: Record) -> None:
        """Keep a copy."""
        self._held[record.topic, record.partition, record.offset] = record
        if len(self._held) >= _MOST_HELD:
            self.flush()

    def find(self, source: Mapping[str, Any]) -> Record | None:
        """Give the copy of the record that a source names, if there is one with its timestamp."""
        spot = (str(source["topic"]), int(source["partition"]), int(source["offset"]))
        record = self._held.get(spot)
        path = self._where.get(spot)
        if record is None and path is not None:
            for row in _rows(self.place.read(path) or b"", None):
                if _spot(row) == spot:
                    record = _record(row)
        timestamp = source.get("timestamp")
        if record is None or (timestamp is not None and record.timestamp != timestamp):
            return None
        return record

    def forget(self, spots: Iterable[Spot]) -> None:
        """Remove copies, and make none again: what they hold was withdrawn."""
        gone = set(spots)
        self._forgotten |= gone
        for spot in gone & set(self._held):
            del self._held[spot]
        for path in sorted({self._where[spot] for spot in gone if spot in self._where}):
            rows = _rows(self.place.read(path) or b"", None)
            kept = [_record(row) for row in rows if _spot(row) not in gone]
            if kept:
                self._write(kept, path)
                self._where = {spot: at for spot, at in self._where.items() if spot not in gone}
            else:
                self._remove(path)

    def tidy(self) -> None:
        """Write what is held back for long, and remove what is too old or too much."""
        if self._held and time.monotonic() - self._since > _FLUSH_AFTER_S:
            self.flush()
        oldest = datetime.fromtimestamp(time.time() - self.config.keep - _DAY_S, UTC)
        limit = f"{_FOLDER}/{oldest:%Y%m%d}"
        total = sum(self._sizes.values())
        for path in sorted(self._sizes):
            if path >= limit + "~" and total <= self.config.max_size:
                break
            total -= self._sizes[path]
            self._remove(path)

    def flush(self) -> None:
        """Write a file of what is held back."""
        if self._held:
            path = f"{_FOLDER}/{datetime.now(UTC):%Y%m%d}/{time.time_ns()}.parquet"
            self._write(list(self._held.values()), path)
        self._held, self._since = {}, time.monotonic()

    def _remove(self, path: str) -> None:
        del self._sizes[path]
        self.place.remove(path)
        self._where = {spot: at for spot, at in self._where.items() if at != path}

    def _write(self, records: Sequence[Record], path: str) -> None:
        import pyarrow as pa

        names = ("topic", "partition", "offset", "timestamp", "key", "value")
        columns: dict[str, list[Any]] = {n: [getattr(r, n) for r in records] for n in names}
        columns["names"] = [[name for name, _ in record.headers] for record in records]
        columns["values"] = [[value for _, value in record.headers] for record in records]
        schema = pa.schema(
            [
                ("topic", pa.string()),
                ("partition", pa.int64()),
                ("offset", pa.int64()),
                ("timestamp", pa.int64()),
                ("key", pa.binary()),
                ("value", pa.binary()),
                ("names", pa.list_(pa.string())),
                ("values", pa.list_(pa.binary())),
            ]
        )
        out = io.BytesIO()
        parquet().write_table(pa.table(columns, schema=schema), out, compression="zstd")
        self.place.write(path, out.getvalue())
        self._sizes[path] = len(out.getvalue())
        self._where |= {(one.topic, one.partition, one.offset): path for one in records}


def _spot(row: Mapping[str, Any]) -> Spot:
    return row["topic"], row["partition"], row["offset"]


def _record(row: dict[str, Any]) -> Record:
    told = {key: value for key, value in row.items() if key not in ("names", "values")}
    return Record(**told, headers=tuple(zip(row["names"], row["values"], strict=True)))


def _rows(content: bytes, columns: list[str] | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        parquet().read_table(io.BytesIO(content), columns=columns).to_pylist()
    )
    return found

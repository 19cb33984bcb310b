"""The labelled set on disk: shards of Parquet, only ever added, and now and then put together.

Each shard holds, beside its rows, the positions in the labels topic up to which it has taken labels
in. So the set alone says where to go on: what a killed sidecar had read but not written is read
again, and nothing is in the set twice.
"""

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from streamer.errors import ConfigError
from streamer.retraining.examples import Row
from streamer.retraining.place import Place

_SHARDS = "shards"
_NOTE = b"streamer"
_COLUMNS = tuple(field.name for field in fields(Row) if field.name != "sequence")


def parquet() -> Any:
    """Load pyarrow's Parquet.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import pyarrow.parquet as found
    except ImportError as error:
        message = "retraining needs pyarrow: pip install 'streamer[retrain]'"
        raise ConfigError(message) from error
    return found


class Store:
    """Reads and writes the shards.

    Attributes:
        sequence: of the last shard; the set's version.
        positions: by partition of the labels topic, the offset to go on from.
        counts: what was counted on the way, malformed labels among it.
        firsts: by cluster, the sequence that it came with, of rows that a compaction has dropped.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self.sequence = 0
        self.positions: dict[int, int] = {}
        self.counts: dict[str, int] = {}
        self.firsts: dict[str, int] = {}

    def rows(self) -> list[Row]:
        """Read all rows, oldest first, without their values; note positions and counts."""
        return [row.without_value() for row in self._all()]

    def values(self, shas: Iterable[str]) -> dict[str, bytes]:
        """Read the values of some examples."""
        wanted = set(shas)
        found: dict[str, bytes] = {}
        for row in self._all():
            if row.value is not None and row.sha in wanted:
                found[row.sha] = row.value
        return found

    def append(
        self, rows: Iterable[Row], positions: Mapping[int, int], counts: Mapping[str, int]
    ) -> int:
        """Write a shard; it is there whole or not at all. Gives its number."""
        number = self.sequence + 1
        self._write(f"{number:08d}.parquet", rows, positions, counts)
        self.sequence = number
        self.positions, self.counts = dict(positions), dict(counts)
        return number

    def tidy(self) -> None:
        """Remove what a compaction has left that was killed: it is read no more."""
        whole = [name for _, name in self._shards() if ".whole." in name]
        if whole:
            self._remove_replaced(int(whole[-1].partition(".")[0]))

    def compact(self) -> int:
        """Put all shards into one, without withdrawn examples and labels that were replaced.

        What a killed compaction has left is ignored; `tidy` removes it.

        Returns:
            How many rows went.
        """
        everything = list(self._all())
        last = {row.name: row for row in everything}
        living = {row.sha for row in last.values() if not row.withdrawn}
        values = {row.sha: row.value for row in everything if row.value is not None}
        kept: list[Row] = []
        seen: set[str] = set()
        for row in last.values():
            if row.withdrawn or row.sha not in living:
                continue
            value = values.get(row.sha) if row.sha not in seen else None
            seen.add(row.sha)
            kept.append(replace(row, value=value))
        clusters = {row.cluster for row in kept}
        firsts = {cluster: at for cluster, at in self.firsts.items() if cluster in clusters}
        for row in everything:
            if row.cluster in clusters:
                firsts[row.cluster] = min(firsts.get(row.cluster, row.sequence), row.sequence)
        self.firsts = firsts
        number = self.sequence + 1
        self._write(f"{number:08d}.whole.parquet", kept, self.positions, self.counts)
        self.sequence = number
        self._remove_replaced(number)
        return len(everything) - len(kept)

    def _all(self) -> Iterable[Row]:
        table = parquet()
        for number, name in self._shards():
            content = self._place.read(f"{_SHARDS}/{name}")
            if content is None:
                continue
            read = table.read_table(io.BytesIO(content))
            note = json.loads(read.schema.metadata[_NOTE])
            self.sequence = number
            self.positions = {int(part): at for part, at in note["positions"].items()}
            self.counts = note["counts"]
            self.firsts.update(note.get("firsts", {}))
            sequences = note.get("sequences")
            for at, row in enumerate(read.to_pylist()):
                yield Row(**row, sequence=sequences[at] if sequences else number)

    def _shards(self) -> list[tuple[int, str]]:
        """Name the shards that count: the newest whole one, and those behind it.

        One of the same number beside it was written by who took over while the compaction stood
        still: it is not in the whole one.
        """
        names = self._place.names(_SHARDS)
        found = [(int(name.partition(".")[0]), name) for name in names if name.endswith(".parquet")]
        whole = max((number for number, name in found if ".whole." in name), default=0)
        found.sort(key=lambda one: (one[0], ".whole." not in one[1]))
        return [one for one in found if one[0] >= whole]

    def _remove_replaced(self, number: int) -> None:
        for name in self._place.names(_SHARDS):
            if int(name.partition(".")[0]) < number:
                self._place.remove(f"{_SHARDS}/{name}")

    def _write(
        self,
        name: str,
        rows: Iterable[Row],
        positions: Mapping[int, int],
        counts: Mapping[str, int],
    ) -> None:
        import pyarrow as pa

        listed = list(rows)
        written = [asdict(row) for row in listed]
        columns = {column: [row[column] for row in written] for column in _COLUMNS}
        note: dict[str, Any] = {"positions": dict(positions), "counts": dict(counts)}
        if ".whole." in name:
            note["sequences"] = [row.sequence for row in listed]
            note["firsts"] = self.firsts
        table = pa.table(columns, schema=_schema()).replace_schema_metadata(
            {_NOTE: json.dumps(note).encode()}
        )
        out = io.BytesIO()
        parquet().write_table(table, out, compression="zstd")
        # another sidecar that believes to be the one must not be overwritten
        self._place.write(f"{_SHARDS}/{name}", out.getvalue(), new=True)


def _schema() -> Any:
    import pyarrow as pa

    kinds = {
        "value": pa.binary(),
        "signature": pa.binary(),
        "labelled_at": pa.int64(),
        "recorded_at": pa.int64(),
        "propensity": pa.float64(),
        "random": pa.bool_(),
        "withdrawn": pa.bool_(),
        "apart": pa.bool_(),
    }
    return pa.schema([(column, kinds.get(column, pa.string())) for column in _COLUMNS])

"""Single records read by their places: what predictions, dead letters and labels speak of."""

from collections import OrderedDict
from collections.abc import Mapping
from time import monotonic
from typing import Any

from streamer.broker.reader import Reader
from streamer.errors import BrokerError
from streamer.records import Record, TopicPartition

_KEPT_BYTES = 64 * 2**20
_PATIENCE_S = 5.0
_POLL_S = 0.25


class Originals:
    """Finds input records by their place; keeps those read by the way, for they come next."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._kept: OrderedDict[tuple[TopicPartition, int], Record] = OrderedDict()
        self._kept_bytes = 0
        self._known: set[str] = set()

    def find(self, source: Mapping[str, Any]) -> Record | None:
        """Read the record that a prediction names as its source; None if it is gone.

        Retention or compaction may have removed it; a topic made anew holds another one there,
        which the timestamp tells.

        Raises:
            BrokerError: Kafka does not let us read it.
        """
        partition = TopicPartition(str(source["topic"]), int(source["partition"]))
        offset = int(source["offset"])
        record = self._kept.get((partition, offset))
        if record is None:
            self._read(partition, offset)
            record = self._kept.get((partition, offset))
        timestamp = source.get("timestamp")
        if record is None or (timestamp is not None and record.timestamp != timestamp):
            return None
        return record

    def _read(self, partition: TopicPartition, offset: int) -> None:
        """Read from an offset until it has come or cannot come any more."""
        self._kept.clear()
        self._kept_bytes = 0
        if partition.topic not in self._known:
            self._reader.partitions(partition.topic)  # says at once if it may not be read
            self._known.add(partition.topic)
        self._reader.assign([partition])
        there = self._reader.beginnings([partition])[partition]
        if not there <= offset < self._reader.ends([partition])[partition]:
            return
        self._reader.seek(partition, offset)
        deadline = monotonic() + _PATIENCE_S
        while monotonic() < deadline:
            for record in self._reader.poll(_POLL_S):
                if self._kept_bytes < _KEPT_BYTES or record.offset == offset:
                    self._kept[partition, record.offset] = record
                    self._kept_bytes += record.size_bytes
            if self._reader.position(partition) > offset:
                return
        message = f"{partition.topic} {partition.partition}/{offset}: not read within 5 s"
        raise BrokerError(message, retriable=True)

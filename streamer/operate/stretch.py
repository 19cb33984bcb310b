"""Stretches of topics: the records between two times, and what was published since one."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from streamer.broker import Reader
from streamer.config import Topology
from streamer.operate.lines import prediction_in
from streamer.records import Record, TopicPartition

_POLL_S = 0.25
_AT_ONCE = 64


class Stretch:
    """The records of topics between two times."""

    def __init__(self, reader: Reader, topics: tuple[str, ...], times: tuple[float, float]) -> None:
        self._reader = reader
        partitions = [at for topic in topics for at in reader.partitions(topic)]
        ends = reader.ends(partitions)
        begin, until = reader.at_time(partitions, times[0]), reader.at_time(partitions, times[1])
        self._until = {at: until.get(at, ends[at]) for at in partitions}
        self._begin = {at: begin[at] for at in partitions if at in begin}
        self.size = sum(max(self._until[at] - first, 0) for at, first in self._begin.items())

    def batches(self, limit: int | None) -> Iterator[list[Record]]:
        """Give the records, so many together, partition by partition."""
        left = limit
        for partition, first in sorted(self._begin.items()):
            for batch in self._partition(partition, first):
                taken = batch if left is None else batch[:left]
                if taken:
                    yield taken
                if left is not None:
                    left -= len(taken)
                    if left == 0:
                        return

    def _partition(self, partition: TopicPartition, first: int) -> Iterator[list[Record]]:
        until = self._until[partition]
        if first >= until:
            return
        self._reader.assign([partition])
        self._reader.seek(partition, first)
        batch: list[Record] = []
        while self._reader.position(partition) < until or batch:
            batch += [record for record in self._reader.poll(_POLL_S) if record.offset < until]
            while len(batch) >= _AT_ONCE:
                yield batch[:_AT_ONCE]
                del batch[:_AT_ONCE]
            if self._reader.position(partition) >= until:
                break
        if batch:
            yield batch


def published_since(
    reader: Reader,
    topology: Topology,
    since: float,
    plain: Callable[[Record], Record],
) -> dict[tuple[str, int, int], Mapping[str, Any]]:
    """Read the predictions that were published since a time, by the record they answer.

    Args:
        reader: that is assigned anew.
        topology: whose predictions they are.
        since: in milliseconds since the epoch.
        plain: gives a record's content as JSON, whatever the sink's format.
    """
    partitions = reader.partitions(topology.sink.topic)
    ends = reader.ends(partitions)
    begin = reader.at_time(partitions, since)
    found: dict[tuple[str, int, int], Mapping[str, Any]] = {}
    for partition, first in begin.items():
        reader.assign([partition])
        reader.seek(partition, first)
        while reader.position(partition) < ends[partition]:
            for record in reader.poll(_POLL_S):
                told = prediction_in(plain(record))
                if told is not None and told.get("topology") == topology.name:
                    source = told["source"]
                    place = (str(source["topic"]), source["partition"], source["offset"])
                    found[place] = told["predictions"]
    return found

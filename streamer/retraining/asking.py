"""Which predictions were looked at for requests, those that came while nobody looked among them."""

import json
import time
from collections.abc import Mapping

from streamer.records import Record
from streamer.retraining.place import Place

_FILE = "requests.json"
_WRITE_EVERY_S = 1.0


class Asked:
    """Offsets of the predictions, by partition, up to which people were asked.

    The first sidecar of a set begins with what comes; one that takes over goes on where the last
    one was, and may ask again for what that one had asked for in its last second: a request has the
    key of its answer.

    Args:
        place: where the set is.
        ends: of the predictions, by partition.
    """

    def __init__(self, place: Place, ends: Mapping[int, int]) -> None:
        self._place = place
        content = place.read(_FILE)
        if content is None:
            self._upto = dict(ends)
        else:
            kept = {int(partition): upto for partition, upto in json.loads(content).items()}
            # a topic that was made anew is shorter than what was read of it
            self._upto = {one: min(kept.get(one, 0), end) for one, end in ends.items()}
        self._written: dict[int, int] | None = None
        self._at = 0.0
        self.flush()

    def is_new(self, record: Record) -> bool:
        """Whether nobody has looked at a prediction yet."""
        return record.offset >= self._upto.get(record.partition, 0)

    def done(self, positions: Mapping[int, int]) -> None:
        """Note that requests were sent for all before these offsets."""
        self._upto = {one: max(upto, self._upto.get(one, 0)) for one, upto in positions.items()}
        if time.monotonic() - self._at >= _WRITE_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Write what was noted."""
        if self._upto != self._written:
            self._place.write(_FILE, json.dumps(self._upto).encode())
            self._written, self._at = dict(self._upto), time.monotonic()

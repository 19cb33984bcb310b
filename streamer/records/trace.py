"""A record's part in a distributed trace, if it is traced."""

import re
from collections.abc import Mapping, Sequence
from typing import Protocol, Self

from streamer.records.record import Headers, OutRecord

_PARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}.*")


def parent_ids(headers: Headers) -> Mapping[str, str]:
    """Give the producer's `trace_id` and `span_id` off its `traceparent`; nothing without one.

    For log lines about a record that is not traced here, or not yet.
    """
    for name, value in headers:
        found = _PARENT.fullmatch(value or b"") if name == "traceparent" else None
        if found is not None:
            trace, span = (part.decode("ascii") for part in found.groups())
            return {"trace_id": trace, "span_id": span}
    return {}


class Trace(Protocol):
    """What is told of one record; `telemetry` has what listens."""

    @property
    def ids(self) -> Mapping[str, str]:
        """What log lines about the record carry: `trace_id`, `span_id`."""
        ...

    def ran(  # noqa: PLR0913 - one event
        self,
        traces: Sequence[Self],
        *,
        step: str,
        model: str,
        version: str,
        items: int,
        seconds: float,
    ) -> None:
        """A batch was run that this record, and those of `traces`, had items in."""
        ...

    def sending(self, output: OutRecord, *, carry: bool) -> OutRecord:
        """The answer goes out; give it with the trace's context in its headers if `carry`."""
        ...

    def ended(self, failure: str | None) -> None:
        """The answer was acknowledged; `failure` says why it is a dead letter, if it is one."""
        ...

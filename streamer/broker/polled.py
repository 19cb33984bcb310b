"""A record as the client gives it, as ours."""

from typing import Any

from streamer.records import Record


def record_of(found: Any) -> Record:
    """Take over what was polled; the client keeps nothing of it."""
    return Record(
        found.topic,
        found.partition,
        found.offset,
        found.timestamp,
        found.key,
        found.value,
        tuple(found.headers),
    )

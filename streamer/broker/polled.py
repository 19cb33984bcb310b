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


def unpark(fetcher: Any) -> None:
    """Let the client go on with records that it set aside while their partition was paused.

    It does so only while no other partition's records are at hand, and takes those that are used up
    for such: where one partition is read while others are paused, as in a rebalance, what was set
    aside is never looked at again, nor fetched anew.
    """
    if fetcher._paused_partition_records and not fetcher._next_partition_records:  # noqa: SLF001
        fetcher._next_partition_records = None  # noqa: SLF001

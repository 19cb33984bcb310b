"""Dead letters: the original record byte for byte, and in its headers why it is one."""

import hashlib
from dataclasses import replace

from streamer.records import OutRecord, Record, Rejection, TopicPartition

_PREFIX = "streamer.error."
_MESSAGE_CHARS = 2000


def dead_letter(topic: str, topology: str, record: Record, rejection: Rejection) -> OutRecord:
    """Make the dead letter of a record."""
    told = {
        "stage": rejection.stage,
        "step": rejection.step or "",
        "reason": rejection.reason,
        "class": rejection.error,
        "message": rejection.message[:_MESSAGE_CHARS],
        "topology": topology,
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "timestamp": str(record.timestamp),
        "attempts": str(rejection.attempts),
    }
    headers = tuple((_PREFIX + name, text.encode()) for name, text in told.items())
    return OutRecord(
        topic=topic,
        key=record.key,
        value=record.value,
        headers=record.headers + headers,
        timestamp=record.timestamp if record.timestamp >= 0 else None,
        source=TopicPartition(record.topic, record.partition),
    )


def without_value(letter: OutRecord) -> OutRecord:
    """Make a dead letter small enough to be written: its value is told by size and SHA-256."""
    value = letter.value or b""
    told = (
        (_PREFIX + "truncated", b"true"),
        (_PREFIX + "value-dropped", str(len(value)).encode()),
        (_PREFIX + "value-sha256", hashlib.sha256(value).hexdigest().encode()),
    )
    return replace(letter, value=b"", headers=letter.headers + told)

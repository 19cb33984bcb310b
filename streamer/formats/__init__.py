"""Forms of values beyond plain JSON: schemas with Confluent's wire format, CloudEvents; both ways.

The libraries come with the extra `schemas` and are imported when a topology asks for them.
"""

from streamer.formats.events import EVENT_TYPE, Event, enveloped, event_of, time_of
from streamer.formats.reading import (
    SCHEMED,
    Reading,
    check_formats,
    reading_for,
    reading_of,
    registry_for,
)
from streamer.formats.registry import Registry, Schema
from streamer.formats.writing import Writing, writing_for

__all__ = [
    "EVENT_TYPE",
    "SCHEMED",
    "Event",
    "Reading",
    "Registry",
    "Schema",
    "Writing",
    "check_formats",
    "enveloped",
    "event_of",
    "reading_for",
    "reading_of",
    "registry_for",
    "time_of",
    "writing_for",
]

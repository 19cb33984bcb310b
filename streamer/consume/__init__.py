"""Kafka to waves: polling, assignment, pausing, positions."""

from streamer.consume.assignment import Assignment
from streamer.consume.caution import Caution
from streamer.consume.commits import Commits
from streamer.consume.gather import Gatherer
from streamer.consume.source import Source, SourceEvents

__all__ = ["Assignment", "Caution", "Commits", "Gatherer", "Source", "SourceEvents"]

"""Answers to output records: predictions and dead letters."""

from streamer.encode.encoder import Encoder
from streamer.encode.letter import dead_letter, smaller, without_value

__all__ = ["Encoder", "dead_letter", "smaller", "without_value"]

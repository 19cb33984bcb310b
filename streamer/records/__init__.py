"""What moves between the rooms: records, samples, model inputs, answers, waves."""

from streamer.records.item import Answer, Item, Rejection, Stage
from streamer.records.permit import Membership, Permit
from streamer.records.record import Headers, OutRecord, Record, TopicPartition
from streamer.records.sample import Geometry, Image, ModelInput, Pair, Sample, Text, TextPiece
from streamer.records.trace import Trace, parent_ids
from streamer.records.tracing import Tracing
from streamer.records.wave import Slice, Wave

__all__ = [
    "Answer",
    "Geometry",
    "Headers",
    "Image",
    "Item",
    "Membership",
    "ModelInput",
    "OutRecord",
    "Pair",
    "Permit",
    "Record",
    "Rejection",
    "Sample",
    "Slice",
    "Stage",
    "Text",
    "TextPiece",
    "TopicPartition",
    "Trace",
    "Tracing",
    "Wave",
    "parent_ids",
]

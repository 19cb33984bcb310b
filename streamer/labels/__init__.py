"""Labels: what people say of records, joined with what models said of them.

Pure: nothing here reads a topic or a file.
"""

from streamer.labels.accuracy import Answer, Figures, LiveAccuracy
from streamer.labels.label import Label, Place, Withdrawal, place_of, read_label, read_name
from streamer.labels.requests import Requests, is_random, request_value

__all__ = [
    "Answer",
    "Figures",
    "Label",
    "LiveAccuracy",
    "Place",
    "Requests",
    "Withdrawal",
    "is_random",
    "place_of",
    "read_label",
    "read_name",
    "request_value",
]

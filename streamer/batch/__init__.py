"""Which items of a wave run together."""

from streamer.batch.ceiling import Ceiling
from streamer.batch.learnt import Learnt, learnt
from streamer.batch.plan import BatchBounds, padded_cost, planned, why_closed
from streamer.batch.running import Running

__all__ = [
    "BatchBounds",
    "Ceiling",
    "Learnt",
    "Running",
    "learnt",
    "padded_cost",
    "planned",
    "why_closed",
]

"""Which items of a wave run together."""

from streamer.batch.ceiling import Ceiling
from streamer.batch.learnt import Learnt, learnt
from streamer.batch.plan import BatchBounds, padded_cost, planned, why_closed

__all__ = ["BatchBounds", "Ceiling", "Learnt", "learnt", "padded_cost", "planned", "why_closed"]

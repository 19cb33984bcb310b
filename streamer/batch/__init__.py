"""Which items of a wave run together."""

from streamer.batch.ceiling import Ceiling
from streamer.batch.plan import BatchBounds, padded_cost, planned

__all__ = ["BatchBounds", "Ceiling", "padded_cost", "planned"]

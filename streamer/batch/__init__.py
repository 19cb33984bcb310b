"""Which items of a wave run together."""

from streamer.batch.plan import BatchBounds, planned

__all__ = ["BatchBounds", "planned"]

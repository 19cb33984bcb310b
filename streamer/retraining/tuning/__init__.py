"""Strategies that learn on a network's own weights, over Torch."""

from streamer.retraining.tuning.strategy import Tuning

__all__ = ["Tuning"]

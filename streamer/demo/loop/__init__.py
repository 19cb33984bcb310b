"""The loop that closes: a version that knows little, people who label, a sidecar that learns."""

from streamer.demo.loop.clerks import Clerks
from streamer.demo.loop.scores import Scores
from streamer.demo.loop.stage import Loop, Prepared, missing, prepared, running

__all__ = ["Clerks", "Loop", "Prepared", "Scores", "missing", "prepared", "running"]

"""From a topology to a line at work: models loaded, stages joined, threads watched."""

from streamer.pipeline.daemon import Daemon, check_topologies, run_topologies
from streamer.pipeline.predictor import Predictor

__all__ = ["Daemon", "Predictor", "check_topologies", "run_topologies"]

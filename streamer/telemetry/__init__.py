"""What the process tells of itself: logs and metrics."""

from streamer.telemetry.logs import configure
from streamer.telemetry.metrics import Metrics

__all__ = ["Metrics", "configure"]

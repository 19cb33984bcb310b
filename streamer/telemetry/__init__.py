"""What the process tells of itself: logs and metrics."""

from streamer.telemetry.logs import configure

__all__ = ["configure"]

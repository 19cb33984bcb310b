"""The daemon's HTTP endpoints: /startupz, /readyz, /livez, /metrics, /status."""

from streamer.endpoints.application import Health
from streamer.endpoints.server import Endpoints, Served

__all__ = ["Endpoints", "Health", "Served"]

"""The live page: reads a daemon's HTTP and the output topics, never the line's memory."""

from streamer.dashboard.application import page_application
from streamer.dashboard.results import Results

__all__ = ["Results", "page_application"]

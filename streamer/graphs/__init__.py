"""Work on graphs that is done once, not while records flow: export, and the comparison after it."""

from streamer.graphs.exporter import Exported, export

__all__ = ["Exported", "export"]

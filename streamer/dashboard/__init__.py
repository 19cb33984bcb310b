"""The live page and `top`: read daemons' HTTP and the topics, never the line's memory."""

from streamer.dashboard.board import Board
from streamer.dashboard.serve import run_dashboard, served

__all__ = ["Board", "run_dashboard", "served"]

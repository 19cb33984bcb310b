"""Threads: a line of plain iterator functions, cut into threads that wait for each other."""

from streamer.runtime.budget import Budget
from streamer.runtime.channel import Channel, Closed
from streamer.runtime.cores import usable_cores
from streamer.runtime.memory import give_back_memory, steady_memory
from streamer.runtime.signals import on_signals, queued_signals
from streamer.runtime.stage import Stage, StageThread, run_line

__all__ = [
    "Budget",
    "Channel",
    "Closed",
    "Stage",
    "StageThread",
    "give_back_memory",
    "on_signals",
    "queued_signals",
    "run_line",
    "steady_memory",
    "usable_cores",
]

"""What a topology reaches on this machine, beside what its models reach alone."""

from streamer.bench.command import Benching, bench

__all__ = ["Benching", "bench"]

"""What docs/performance.md says, measured: streamer beside raw sessions and other systems."""

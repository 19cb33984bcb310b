"""Faults of every kind against real daemons on a real broker, and what became of each record."""

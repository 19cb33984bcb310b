"""What a line tells of its waves' records, for those that are traced."""

from typing import Protocol

from streamer.records.wave import Wave


class Tracing(Protocol):
    """Begins, carries on and ends the traces of a line's records; `telemetry` has what listens."""

    def begin(self, wave: Wave) -> None:
        """A wave enters the line: its records that are sampled get a trace."""
        ...

    def sending(self, wave: Wave) -> Wave:
        """A wave is encoded: let its answers carry their traces on."""
        ...

    def settled(self, wave: Wave) -> None:
        """A wave is acknowledged."""
        ...

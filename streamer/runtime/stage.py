"""Stages run as threads, with a channel between neighbours."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from threading import Thread
from time import monotonic
from typing import Any

from streamer.runtime.channel import Channel, Closed

Observer = Callable[[str, float, float], None]


@dataclass(frozen=True)
class Stage:
    """A named iterator function: waves in, waves out."""

    name: str
    work: Callable[[Iterable[Any]], Iterator[Any]]


class StageThread(Thread):
    """Pulls from its inbox through its stage into its outbox."""

    def __init__(
        self, stage: Stage, inbox: Channel[Any], outbox: Channel[Any], observe: Observer
    ) -> None:
        super().__init__(name=stage.name, daemon=True)
        self._stage = stage
        self._observe = observe
        self.inbox = inbox
        self._outbox = outbox
        self.error: BaseException | None = None
        self.moved_at = monotonic()
        self.busy = False

    def run(self) -> None:
        """Pull, transform, push; however it ends, both neighbours learn of it."""
        try:
            for item in self._stage.work(self._noted(self.inbox)):
                now = monotonic()
                self._observe(self._stage.name, self.inbox.waited_s, now - self.moved_at)
                self.moved_at = now
                self._outbox.put(item)  # waits while full: this is the back-pressure
                self.moved_at = monotonic()
                self.busy = False
        except Closed:
            pass  # the reader ended first, and has said why
        except BaseException as error:  # noqa: BLE001 - whoever joins the thread raises it
            self.error = error
        finally:
            self.busy = False
            self.inbox.discard()  # the writer's next put raises Closed
            self._outbox.close()  # the reader drains what is there, then ends

    def _noted(self, inbox: Channel[Any]) -> Iterator[Any]:
        for item in inbox:
            self.busy = True
            self.moved_at = monotonic()
            yield item

    def stalled_for(self, now: float) -> float:
        """Seconds since something moved, while something is being worked on."""
        return now - self.moved_at if self.busy else 0.0


def run_line(
    stages: Sequence[Stage], capacity: int = 1, observe: Observer = lambda *_: None
) -> tuple[Channel[Any], list[StageThread], Channel[Any]]:
    """Start a thread for each stage.

    Args:
        stages: in the order of the line.
        capacity: items between two stages.
        observe: told, for each item, the stage, the seconds it waited and was worked on.

    Returns:
        The channel that feeds the first stage, the threads, the channel behind the last one.
    """
    channels: list[Channel[Any]] = [Channel(capacity) for _ in range(len(stages) + 1)]
    threads = [
        StageThread(stage, channels[index], channels[index + 1], observe)
        for index, stage in enumerate(stages)
    ]
    for thread in threads:
        thread.start()
    return channels[0], threads, channels[-1]

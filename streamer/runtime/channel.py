"""A bounded queue between two threads that either side can close."""

from collections import deque
from collections.abc import Iterator
from threading import Condition
from time import monotonic
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Closed(Exception):  # noqa: N818 - it is no error, it ends a stage
    """The other side has ended."""


class Channel(Generic[Item]):
    """Holds at most `capacity` items; a full channel is the back-pressure."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            message = f"a channel holds at least one item; got {capacity}"
            raise ValueError(message)
        self._capacity = capacity
        self._items: deque[tuple[Item, float]] = deque()
        self._changed = Condition()
        self._closed = False
        self.waited_s = 0.0
        """How long the item taken last lay in the channel."""

    def put(self, item: Item) -> None:
        """Hand an item over, waiting while the channel is full.

        Raises:
            Closed: the reader has ended.
        """
        with self._changed:
            while len(self._items) >= self._capacity and not self._closed:
                self._changed.wait()
            if self._closed:
                raise Closed
            self._items.append((item, monotonic()))
            self._changed.notify_all()

    def has_room(self) -> bool:
        """Whether a put by the only writer would not wait."""
        with self._changed:
            return len(self._items) < self._capacity or self._closed

    def get_within(self, seconds: float) -> Item | None:
        """Take an item if one is there, or comes soon enough."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout=seconds)
            return self._take() if self._items else None

    def __iter__(self) -> Iterator[Item]:
        """Yield items until the channel is closed and empty."""
        while True:
            with self._changed:
                while not self._items and not self._closed:
                    self._changed.wait()
                if not self._items:
                    return
                item = self._take()
            yield item

    def _take(self) -> Item:
        item, put_at = self._items.popleft()
        self.waited_s = monotonic() - put_at
        self._changed.notify_all()
        return item

    def __len__(self) -> int:
        with self._changed:
            return len(self._items)

    def close(self) -> None:
        """End the channel: a put raises `Closed`, a reader gets what is there and ends."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def discard(self) -> None:
        """Close, and drop what is there."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

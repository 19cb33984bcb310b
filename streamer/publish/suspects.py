"""Who of those that were refused together is to blame."""

from collections.abc import Iterator, Sequence
from itertools import count, groupby

from streamer.records import Item


class Suspects:
    """Items to be sent apart from the others, in groups that halve until a culprit is alone."""

    def __init__(self) -> None:
        self._groups: dict[int, int] = {}
        self._numbers = count(1)

    def clear(self) -> None:
        """Suspect nobody; items are known by their identity only as long as they are in hand."""
        self._groups.clear()

    def split(self, items: Sequence[Item]) -> None:
        """Suspect items; the next time they go in two groups."""
        middle = (len(items) + 1) // 2
        for half in (items[:middle], items[middle:]):
            number = next(self._numbers)
            self._groups.update((id(item), number) for item in half)

    def apart(self, items: Sequence[Item]) -> Iterator[list[Item]]:
        """Cut items, their order kept, where one group ends and another begins."""
        for _, group in groupby(items, key=lambda item: self._groups.get(id(item), 0)):
            yield list(group)

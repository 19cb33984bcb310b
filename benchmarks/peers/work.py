"""What a peer does with a record: `texts:FOLDER`, `classes-exact:FOLDER`, `boxes-fast:FOLDER`."""

from collections.abc import Sequence
from typing import Any, Protocol


class Work(Protocol):
    """A model, from values to answers."""

    def found(self, values: Sequence[bytes]) -> Sequence[Any]:
        """Answer values in one batch."""
        ...

    def found_alike(self, values: Sequence[bytes]) -> Sequence[Any]:
        """Answer many values, in batches as is best for them."""
        ...

    def written(self, found: Any) -> bytes:
        """Write an answer."""
        ...


def work_of(told: str) -> Work:
    """Load what is named; a peer's environment has only what its own work needs."""
    kind, _, folder = told.partition(":")
    if kind == "texts":
        from texts import Texts

        return Texts(folder)
    from pictures import Classifier, Detector

    name, _, decode = kind.partition("-")
    return {"classes": Classifier, "boxes": Detector}[name](folder, decode)

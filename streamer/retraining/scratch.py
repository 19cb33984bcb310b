"""The folder that a run works in; what a killed one has left goes with the next."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path


class Scratch:
    """Folders of the runs of one labelled set, among the machine's temporary files.

    Args:
        url: of the set: only one sidecar works on it at a time.
    """

    def __init__(self, url: str) -> None:
        self._prefix = f"streamer-retrain-{sha256(url.encode()).hexdigest()[:12]}-"

    @contextmanager
    def opened(self) -> Iterator[str]:
        """Make a folder that is removed at the end."""
        with tempfile.TemporaryDirectory(prefix=self._prefix) as folder:
            yield folder

    def sweep(self) -> None:
        """Remove what runs have left that were killed."""
        for left in Path(tempfile.gettempdir()).glob(f"{self._prefix}*"):
            shutil.rmtree(left, ignore_errors=True)

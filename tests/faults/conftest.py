"""A site on the session's broker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.flow import Site


@pytest.fixture
def site(broker: str, tmp_path: Path) -> Iterator[Site]:
    """The broker that all tests share, a folder of the test's own."""
    with Site(broker, tmp_path) as opened:
        yield opened

"""What parity tests share."""

import pytest
from parity.table import Rows

_PATIENCE_S = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give exporters time: they are slow, slower still where others compute, and never hang."""
    for item in items:
        if item.get_closest_marker("torch") and "tests/parity" in item.path.as_posix():
            item.add_marker(pytest.mark.timeout(_PATIENCE_S))


@pytest.fixture
def parity_row() -> Rows:
    """Notes a row of the table in docs/models.md; see tests/parity/table.py."""
    return Rows.from_environment()

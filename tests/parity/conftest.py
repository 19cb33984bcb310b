"""What parity tests share."""

import pytest
from parity.table import Rows


@pytest.fixture
def parity_row() -> Rows:
    """Notes a row of the table in docs/models.md; see tests/parity/table.py."""
    return Rows.from_environment()

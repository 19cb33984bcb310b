from pathlib import Path

import pytest

from streamer.config.reference import PAGES

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_docstrings_say(name):
    told = f"run: python -m streamer.config.reference {DOCS.name}"
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), told

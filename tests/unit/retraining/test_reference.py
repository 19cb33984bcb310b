"""The page of the sidecar's file is what the sections say of themselves."""

from pathlib import Path

from streamer.retraining.reference import PAGE, retraining_page

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_is_what_the_docstrings_say():
    told = f"run: python -m streamer.retraining.reference {DOCS.name}"
    assert (DOCS / PAGE).read_text(encoding="utf-8") == retraining_page(), told

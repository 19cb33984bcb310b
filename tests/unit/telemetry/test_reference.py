from pathlib import Path

from streamer.telemetry.reference import metrics_page

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


def test_the_page_is_what_the_code_registers():
    told = "run: python -m streamer.telemetry.reference docs"
    assert PAGE.read_text(encoding="utf-8") == metrics_page(), told

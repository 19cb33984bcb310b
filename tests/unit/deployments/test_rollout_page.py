from pathlib import Path

import pytest

from streamer.deployments.rollout import Rollout
from streamer.deployments.rules import AccuracyRule

PAGE = (Path(__file__).parents[3] / "docs" / "rollouts.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*Rollout.model_fields, *AccuracyRule.model_fields])
def test_the_page_tells_every_rule(name):
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("min_samples", "`500`"),
        ("max_time", "`30m`"),
        ("max_error_ratio", "`1.5`"),
        ("error_floor", "`0.5%`"),
        ("max_latency_ratio", "`1.5`"),
        ("false_decisions", "`5%`"),
        ("share", "`10%`"),
    ],
)
def test_the_page_tells_the_defaults_as_they_are(name, told):
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
    assert row.split("|")[2].strip() == told
    written = told.strip("`").replace("30m", "1800")
    percent = written.endswith("%")
    value = float(written.rstrip("%")) / (100 if percent else 1)
    assert Rollout.model_fields[name].default == pytest.approx(value)

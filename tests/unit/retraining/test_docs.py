"""docs/retraining.md: its examples are what streamer reads, its tables name what is counted."""

import json
import re
from pathlib import Path

import pytest
import yaml

from streamer.labels import read_label
from streamer.records import Record
from streamer.retraining.config import load_retrain

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "retraining.md").read_text(encoding="utf-8")
SOURCES = [*(ROOT / "streamer" / "retraining").glob("*.py"), ROOT / "streamer/labels/label.py"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def named(pattern: str) -> set[str]:
    """What the code names by a pattern."""
    found = (re.findall(pattern, file.read_text(encoding="utf-8")) for file in SOURCES)
    return {name for names in found for name in names}


def table(head: str) -> set[str]:
    """The first column of a table."""
    rows = PAGE.partition(f"| {head} | what |\n| --- | --- |\n")[2].split("\n\n")[0]
    return set(re.findall(r"^\| `([a-z_-]+)` \|", rows, re.MULTILINE))


@pytest.mark.parametrize("text", blocks("yaml"))
def test_the_files_shown_are_read(tmp_path, text):
    path = tmp_path / "retrain.yaml"
    shown = {**yaml.safe_load(blocks("yaml")[0]), **yaml.safe_load(text)}  # some show a section
    path.write_text(yaml.safe_dump(shown))
    assert load_retrain(path).labels.topic


@pytest.mark.parametrize("text", blocks("json"))
def test_the_labels_shown_are_read(text):
    label = read_label(Record("labels", 0, 0, 0, None, text.encode()))
    assert label.answer == json.loads(text)["label"]


@pytest.mark.parametrize(
    "text",
    [
        '{"text": "…", "label": "…"}',
        '{"sentence1": "…", "sentence2": "…", "score": 0.8}',
    ],
)
def test_the_inline_examples_shown_are_read(text):
    assert f"`{text}`" in PAGE
    assert read_label(Record("labels", 0, 0, 0, b"name", text.encode())).example


def test_every_outcome_that_is_counted_is_told():
    counted = named(r'counts\["([a-z_]+)"\]') | {"duplicate", "contradictory"}
    counted |= {name.replace("-", "_") for name in named(r'reason="(label-[a-z-]+-missing)"')}
    assert table("outcome") == counted


def test_every_reason_of_a_label_s_dead_letter_is_told():
    reasons = named(r'reason="([a-z-]+)"') | {"several-labels"}
    reasons = {one for one in reasons if not one.endswith("-missing")}
    assert table("reason") == reasons - {"not-an-image"}  # a decoder's


def test_every_option_is_told():
    command = (ROOT / "streamer" / "cli" / "retrain.py").read_text(encoding="utf-8")
    for option in set(re.findall(r'"(--[a-z-]+)"', command)):
        assert option in PAGE, option

"""The examples of docs/testing.md run, as they stand there."""

import re
from pathlib import Path

import pytest
from support import tiny

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def exactly_once(tmp_path):
    tiny.text_model(tmp_path / "models")
    path = tmp_path / "moods.yaml"
    path.write_text(
        "name: moods\n"
        "delivery: exactly-once\n"
        "source: {topics: [messages], format: text}\n"
        "model: models/mood\n"
        "sink: {topic: moods}\n",
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_of_the_page_passes(example, exactly_once, monkeypatch):
    monkeypatch.chdir(ROOT)
    names = {}
    exec(compile(example, "docs/testing.md", "exec"), names)  # noqa: S102 - our own page
    [test] = [found for name, found in names.items() if name.startswith("test_")]
    given = test.__code__.co_varnames[: test.__code__.co_argcount]
    test(*[exactly_once for _ in given])

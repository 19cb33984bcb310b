import json

import numpy as np
import pytest
import yaml
from support.items import record
from support.versions import version

from streamer.config import Settings
from streamer.errors import ConfigError
from streamer.operate.compare import Comparing, compare
from streamer.operate.comparison import Comparison, Side, published
from streamer.operate.report import Example, html_report, json_report
from streamer.postprocess.boxes import Found
from streamer.records import Image, Text


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"model": "mood"}, "write NAME=VERSION"),
        ({"model": "moods=2"}, "has no model 'moods'; it has model"),
        ({"model": "mood=9"}, "there is no "),
        ({"until": "2h"}, "must lie before"),
        ({"since": "yesterday"}, "write a duration"),
    ],
)
def test_what_is_asked_wrongly_is_said_before_anything_is_read(tmp_path, asked, said):
    version(tmp_path / "models", "mood", "1")
    content = {
        "name": "compared",
        "source": {"topics": ["in"], "format": "text"},
        "model": "models/mood/1",
        "sink": {"topic": "out"},
    }
    file = tmp_path / "topology.yaml"
    file.write_text(yaml.safe_dump(content))
    comparing = Comparing(**{"file": file, "model": "mood=1", "since": "1h", **asked})
    with pytest.raises(ConfigError, match=said):
        compare(comparing, Settings(models={"dir": tmp_path}))


def labels(name: str, score: float) -> list[dict]:
    return [{"label": name, "score": score}]


def test_changes_are_counted_by_kind_failures_too_and_kept_up_to_the_limit():
    comparison = Comparison(most=2)
    said = [
        (Side("m 1", labels("a", 0.9)), Side("m 2", labels("a", 0.7))),
        (Side("m 1", labels("a", 0.9)), Side("m 2", labels("b", 0.6))),
        (Side("m 1", labels("a", 0.8)), Side("m 2", labels("b", 0.5))),
        (Side("m 1", labels("a", 0.8)), Side("m 2", None, "infer: non-finite: NaN")),
        (Side("m 1", None, "x"), Side("m 2", None, "y")),
    ]
    kept = [
        comparison.add(record(at), {"step": one}, {"step": two})
        for at, (one, two) in enumerate(said)
    ]
    assert kept == [False, True, True, False, False]
    told = comparison.as_object()
    counts = told["steps"]["step"]
    assert (counts["records"], counts["same"], counts["changed"]) == (5, 2, 3)
    assert (counts["failed_before"], counts["failed_after"]) == (1, 2)
    assert counts["changes"] == {"a → b": 2, "fails now: infer: non-finite: NaN": 1}
    assert [example["source"]["offset"] for example in told["examples"]] == [1, 2]


def test_answers_of_detectors_are_told_as_they_are():
    def found(label: str, left: int = 1) -> Found:
        box = {"xmin": left, "ymin": 2, "xmax": left + 8, "ymax": 8}
        return Found([{"label": label, "score": 0.9, "box": box}], np.zeros((1, 4), np.float32))

    comparison = Comparison(most=2)
    one, two = Side("signs 1", found("stop")), Side("signs 2", found("yield"))
    comparison.add(record(0), {"detect": one}, {"detect": two})
    [example] = json.loads(json_report(ABOUT, comparison.as_object()["examples"]))["examples"]
    assert (example["told"], example["step"]) == ("stop 0.90 → yield 0.90", "detect")
    two = Side("signs 2", Found([*found("yield"), *found("no", 40)], np.zeros((2, 4), np.float32)))
    comparison.add(record(1), {"detect": one}, {"detect": two})
    assert set(comparison.counts["detect"].kinds) == {"stop → yield", "stop → yield, +1 no"}
    assert example["before"] == {"version": "signs 1", "output": found("stop"), "error": None}


def test_only_steps_that_were_published_are_compared():
    said = {"kind": {"model": "m", "version": "3", "output": labels("a", 1)}, "other": {}}
    assert published(said, ["kind"]) == {"kind": Side("m 3", labels("a", 1))}


ABOUT = {
    "topology": "street",
    "topics": ["photos"],
    "from": "2025-01-01T00:00:00+00:00",
    "to": "2025-01-01T01:00:00+00:00",
    "before": "signs <1>",
    "after": "signs 2",
    "records": 2,
    "one_by_one": True,
}


def test_the_report_escapes_what_records_say_and_holds_its_pictures():
    comparison = Comparison(most=2)
    for at in range(2):
        comparison.add(
            record(at),
            {"step": Side("signs <1>", labels("<script>", 0.9))},
            {"step": Side("signs 2", labels("b", 0.6))},
        )
    shown = [Image(np.zeros((600, 900, 3), np.uint8)), Text("<b>bold</b>")]
    examples = [Example(*pair) for pair in zip(comparison.changes, shown, strict=True)]
    about = {**ABOUT, "steps": comparison.as_object()["steps"]}
    page = html_report(about, examples)
    assert "<script>" not in page
    assert "&lt;b&gt;bold" in page
    assert page.count("data:image/jpeg;base64,") == 2
    assert "one by one" in page
    assert json.loads(json_report(about, []))["steps"]["step"]["changed"] == 2


def test_equal_versions_leave_a_report_without_changes():
    comparison = Comparison(most=2)
    side = {"step": Side("m 1", {"score": 0.5})}
    comparison.add(record(0), side, side)
    assert "No answer has changed" in html_report(
        {**ABOUT, "steps": comparison.as_object()["steps"]}, []
    )

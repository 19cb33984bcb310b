import json

import pytest

from streamer.errors import ModelError
from streamer.models.golden import deviation, golden_records

SAID = [{"label": "good", "score": 0.98}, {"label": "bad", "score": 0.02}]
BOX = {"label": "stop", "score": 0.9, "box": {"xmin": 10, "ymin": 20, "xmax": 30, "ymax": 40}}


def write(folder, *lines):
    (folder / "golden").mkdir()
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / "golden" / "records.jsonl").write_text(text)


def test_a_version_without_golden_records_has_none(tmp_path):
    assert golden_records(tmp_path) == []


def test_texts_pairs_and_files_are_read_as_a_source_would_hold_them(tmp_path):
    write(
        tmp_path,
        {"text": "hält", "output": SAID},
        "",
        {"sentence1": "a", "sentence2": "b"},
        {"file": "stop.jpg", "output": [BOX]},
    )
    (tmp_path / "golden" / "stop.jpg").write_bytes(b"picture")
    text, pair, picture = golden_records(tmp_path)
    assert (text.form, text.value, text.output) == ("text", "hält".encode(), SAID)
    assert (pair.form, json.loads(pair.value)["sentence2"], pair.output) == ("json", "b", None)
    assert (picture.form, picture.value, picture.output) == ("image", b"picture", [BOX])
    assert picture.told.endswith("golden/records.jsonl:4")


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[1]",
        {"words": "x"},
        {"text": "x", "file": "y"},
        {"sentence1": "x"},
        {"file": "missing.jpg"},
        {"file": "../model.yaml"},
    ],
)
def test_a_line_that_is_no_record_is_named(tmp_path, line):
    write(tmp_path, {"text": "x"}, line)
    with pytest.raises(ModelError, match=r"records.jsonl:2: write "):
        golden_records(tmp_path)


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (SAID, SAID),
        (SAID, [{"label": "good", "score": 0.9805}, {"label": "bad", "score": 0.0195}]),
        ([BOX], [{**BOX, "box": {"xmin": 11, "ymin": 19, "xmax": 30, "ymax": 40}}]),
        ({"score": 0.5}, {"score": 0.5004, "more": 1}),
        ([], []),
        ({"score": 100.0}, {"score": 100.05}),
    ],
)
def test_numbers_may_be_a_little_apart(expected, found):
    assert deviation(expected, found) is None


@pytest.mark.parametrize(
    ("expected", "found", "told"),
    [
        (SAID, SAID[:1], "output has 1 entries, not 2"),
        (SAID, SAID[::-1], "output[0].label is 'bad', not 'good'"),
        ({"score": 0.5}, {"score": 0.502}, "output.score is 0.502, not 0.5"),
        ([BOX], [{**BOX, "box": {**BOX["box"], "xmax": 32}}], "output[0].box.xmax is 32, not 30"),
        ({"score": 0.5}, {}, "output.score is missing"),
        ({"score": 0.5}, {"score": float("nan")}, "output.score is nan, not 0.5"),
    ],
)
def test_what_is_apart_is_named(expected, found, told):
    assert deviation(expected, found) == told

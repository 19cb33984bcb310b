"""`streamer bench` on tiny models; what it measures decides no test."""

import json

import pytest
import yaml
from support import tiny

from streamer.bench import Benching, bench, command, raw
from streamer.config import Settings
from streamer.errors import ConfigError


def topology(folder, kind, model, **source):
    file = folder / "topology.yaml"
    content = {
        "name": "measured",
        "source": {"topics": ["in"], "format": kind, **source},
        "model": str(model),
        "sink": {"topic": "out"},
    }
    file.write_text(yaml.safe_dump(content))
    return file


def measured(capsys, file, **options):
    benching = Benching(file, seconds=0.05, kafka=False, as_json=True, **options)
    code = bench(benching, Settings())
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("form", ["text", "json"])
def test_texts_are_made_up_and_every_stage_is_told(tmp_path, capsys, form):
    code, told = measured(capsys, topology(tmp_path, form, tiny.text_model(tmp_path)))
    assert code == 0
    [plan] = told["raw"]["steps"].values()
    assert plan["rate"] > 0
    assert told["line"]["records"] >= 64
    assert told["line"]["rejected"] == 0
    stages = ["decode", "decoded", "batch-predict", "infer-predict", "encode"]
    assert list(told["line"]["stages"]) == stages
    assert told["whole"] == {}


def test_pictures_are_made_up(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "_LEAST_RECORDS", 8)  # the large ones take their time
    code, told = measured(capsys, topology(tmp_path, "image", tiny.picture_model(tmp_path)))
    assert code == 0
    assert told["raw"]["records_per_second"] > 0
    assert told["decoding"]["effect"]["records"] == 8
    assert told["decoding"]["effect"]["most"] < 0.05  # colours in the mean of a picture


def test_records_of_files_are_taken_and_bad_ones_told_by_the_exit_code(tmp_path, capsys):
    file = topology(tmp_path, "text", tiny.text_model(tmp_path), limits={"text": "12B"})
    lines = tmp_path / "lines.txt"
    lines.write_text("good\nbad\nfine but too long a text\n")
    code, told = measured(capsys, file, inputs=(lines,))
    assert code == 1
    assert told["line"]["rejected"] * 3 == pytest.approx(told["line"]["records"], abs=3)


def test_no_more_is_read_of_files_than_fits_into_memory(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "_MOST_BYTES", 100)
    lines = tmp_path / "lines.txt"
    lines.write_text("good\n" * 50 + "far too long a text\n" * 50)
    file = topology(tmp_path, "text", tiny.text_model(tmp_path), limits={"text": "12B"})
    assert measured(capsys, file, inputs=(lines,))[0] == 0  # none of the second half


def test_batches_are_tried_up_to_what_memory_holds(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(raw, "_MOST_COST", 1)
    _, told = measured(capsys, topology(tmp_path, "text", tiny.text_model(tmp_path)))
    assert [plan["items"] for plan in told["raw"]["steps"].values()] == [1]


def test_records_that_are_all_bad_are_an_error(tmp_path, capsys):
    file = topology(tmp_path, "image", tiny.picture_model(tmp_path))
    lines = tmp_path / "lines.txt"
    lines.write_text("no picture\n")
    with pytest.raises(
        ConfigError, match="every record is rejected; the first one: decode: no pic"
    ):
        measured(capsys, file, inputs=(lines,))


def test_people_get_a_table(tmp_path, capsys):
    file = topology(tmp_path, "text", tiny.text_model(tmp_path))
    assert bench(Benching(file, seconds=0.05, kafka=False), Settings()) == 0
    told = capsys.readouterr().out
    assert "line without Kafka" in told
    assert "Where the line's time goes" in told

import io
import json
from pathlib import Path

import pytest

from streamer.errors import ConfigError
from streamer.operate.entries import entries, found_files, total_bytes


def test_a_folder_gives_its_pictures_in_order_and_nothing_else(tmp_path):
    for name in ("b.PNG", "a.jpg", "notes.txt", "deep/c.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    names = [file.relative_to(tmp_path).as_posix() for file in found_files([tmp_path])]
    assert names == ["a.jpg", "b.PNG", "deep/c.webp"]
    kinds = [entry.content_type for entry in entries(found_files([tmp_path]))]
    assert kinds == ["image/jpeg", "image/png", "image/webp"]


def test_a_folder_without_pictures_and_a_file_that_is_not_there_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no pictures in this folder"):
        found_files([tmp_path])
    with pytest.raises(ConfigError, match="there is no such file"):
        found_files([tmp_path / "none.jpg"])


def test_lines_are_records_as_they_are_and_empty_ones_are_none(tmp_path):
    file = tmp_path / "words.txt"
    file.write_bytes("grüße\r\n\n  \nlast\xff".encode("latin-1"))
    found = list(entries([file]))
    assert [entry.value for entry in found] == ["grüße".encode("latin-1"), b"last\xff"]
    assert [entry.origin for entry in found] == [f"{file}:1", f"{file}:4"]
    assert found[0].content_type == "text/plain; charset=utf-8"
    assert found[0].name == "words"


def test_json_lines_are_passed_on_and_their_fields_can_be_read(tmp_path):
    file = tmp_path / "some.jsonl"
    file.write_text('{"id": 7}\n[1]\nnot json\n')
    found = list(entries([file]))
    assert [entry.value for entry in found] == [b'{"id": 7}', b"[1]", b"not json"]
    assert [dict(entry.fields()) for entry in found] == [{"id": 7}, {}, {}]


def test_rows_are_objects_by_their_header(tmp_path):
    file = tmp_path / "some.csv"
    file.write_text('﻿id,text\n1,"a, ""b""\nc"\n2,grüße\n', encoding="utf-8")
    found = [json.loads(entry.value) for entry in entries([file])]
    assert found == [{"id": "1", "text": 'a, "b"\nc'}, {"id": "2", "text": "grüße"}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1: expected a header line"),
        ("a,a\n1,2\n", ":1: expected a header line that names each column once"),
        ("a,b\n1\n", ":2: expected 2 cells as in line 1"),
        ("a,b\n1,2\n1,2,3\n", ":3: expected 2 cells"),
    ],
)
def test_a_table_that_is_none_is_refused_by_its_line(tmp_path, text, said):
    file = tmp_path / "some.csv"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        list(entries([file]))


def test_any_other_file_is_one_record(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"\x00\n\x01")
    (tmp_path / "b.json").write_text('{"a":\n1}')
    one, other = entries([tmp_path / "a.bin", tmp_path / "b.json"])
    assert (one.value, one.content_type) == (b"\x00\n\x01", "application/octet-stream")
    assert dict(other.fields()) == {"a": 1}


def test_standard_input_is_lines(monkeypatch):
    class Stdin:
        buffer = io.BytesIO(b"one\ntwo\n")

    monkeypatch.setattr("sys.stdin", Stdin)
    files = found_files([Path("-")])
    assert total_bytes(files) is None
    assert [entry.value for entry in entries(files)] == [b"one", b"two"]

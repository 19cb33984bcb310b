from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from streamer.config.files import load_section, read_yaml
from streamer.errors import ConfigError


class Anything(BaseModel):
    model_config = {"extra": "allow"}


def refusal(folder: Path, content: bytes) -> str:
    file = folder / "some.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_section(file, Anything)
    return str(caught.value).replace(str(file), "")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", ": the file is empty; expected keys with values"),
        (b"# only a comment\n", ": the file is empty"),
        (b"- a\n- b\n", ":1: expected keys with values, as in 'name: street'; found a list"),
        (b"just words", ":1: expected keys with values, as in 'name: street'; found only"),
        (b"a: 1\nb:\n  c: 1\n  c: 2\n", ":4: the key 'c' stands twice"),
        (b"a:\n\tb: 1\n", ":2: a tab where YAML wants spaces"),
        (b"a: b: c\n", ":1: no valid YAML: mapping values are not allowed here (a ':' too many"),
        (b"a: [1, 2\n", ":2: no valid YAML:"),
        (b"a: 'x\n", ":2: no valid YAML:"),
        (b"? [a, b]\n: 1\n", ":1: a key must be plain text"),
        (b"a: 1\n---\nb: 2\n", "no valid YAML: but found another document"),
        (b"a: \xff\xfe\n", ": is not UTF-8 text"),
        (b"a: !!python/object/apply:os.system [ls]\n", ":1: no valid YAML: could not determine"),
        (b"a: 2024-13-45\n", ": no valid YAML: month must be in 1..12"),
        (b"a: &a [*a]\n", ": larger, once its aliases are followed, than any real file"),
        (b"[" * 5000 + b"]" * 5000, ": nested deeper than any configuration is"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_in_words(tmp_path, content, said):
    assert said in refusal(tmp_path, content)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file or directory"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_yaml(tmp_path)


def test_aliases_of_aliases_do_not_grow_without_end(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    assert "once its aliases are followed" in refusal(tmp_path, "\n".join(lines).encode())


def test_lines_are_those_of_keys_and_entries(tmp_path):
    file = tmp_path / "some.yaml"
    file.write_text("a: 1\nb:\n  - x\n  - {c: 3}\n")
    _, lines = read_yaml(file)
    assert lines == {
        ("a",): 1,
        ("b",): 2,
        ("b", "0"): 3,
        ("b", "1"): 4,
        ("b", "1", "c"): 4,
    }


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("yaml") / "some.yaml"
    file.write_bytes(content)
    try:
        load_section(file, Anything)
    except ConfigError:
        return

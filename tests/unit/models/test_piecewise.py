import json

import pytest

from streamer.errors import ModelError
from streamer.models.piecewise import piece_numbers

PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁a"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "vocab.json").write_text(json.dumps({p: n for n, p in enumerate(PIECES)}))
    return tmp_path


def test_the_network_s_numbers_are_those_of_the_vocabulary(folder):
    found = piece_numbers(folder)
    assert found.numbers["▁a"] == 4
    assert found.special == {"<s>", "<pad>", "</s>", "<unk>"}


def test_special_tokens_that_are_only_listed_come_behind_the_vocabulary(folder):
    listed = {"additional_special_tokens": ["__af__", {"content": "__am__"}]}
    (folder / "special_tokens_map.json").write_text(json.dumps(listed))
    (folder / "added_tokens.json").write_text('{"<mask>": 9}')
    found = piece_numbers(folder)
    assert (found.numbers["__af__"], found.numbers["__am__"]) == (10, 11)
    assert {"__af__", "__am__", "<mask>"} < found.special


def test_m2m100_s_languages_are_known_where_nothing_lists_them(folder):
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "M2M100Tokenizer"}')
    found = piece_numbers(folder)
    languages = [token for token in found.special if token.startswith("__")]
    assert len(languages) == 100
    assert (found.numbers["__af__"], found.numbers["__zu__"]) == (5, 104)


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_vocabulary_that_is_none_is_refused(folder, content):
    (folder / "vocab.json").write_text(content)
    with pytest.raises(ModelError, match=r"vocab\.json"):
        piece_numbers(folder)


def test_a_missing_vocabulary_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"vocab\.json: cannot be read"):
        piece_numbers(tmp_path)

import json

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders
from tokenizers.models import WordLevel

from streamer.errors import ConfigError
from streamer.models import Manifest
from streamer.postprocess import interpreter_for
from streamer.records import ModelInput

WORDS = ["<pad>", "</s>", "good", "morning", ",", "Anna"]


def manifest(task, tokenizer="tokenizer.json"):
    return Manifest.model_validate(
        {
            "name": "m",
            "task": task,
            "inputs": {"text": {"kind": "text", "tokenizer": tokenizer, "tensors": {"x": "ids"}}},
            "outputs": {"sequences": {"decode": "tokens"}},
        }
    )


@pytest.fixture
def folder(tmp_path):
    tokenizer = Tokenizer(WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token=WORDS[0]))
    tokenizer.add_special_tokens(["<pad>", "</s>"])
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


ROWS = np.array([[0, 2, 3, 1, 0, 0], [0, 2, 3, 4, 5, 1]])


@pytest.mark.parametrize(
    ("task", "key"),
    [
        ("translation", "translation_text"),
        ("summarization", "summary_text"),
        ("text2text-generation", "generated_text"),
    ],
)
def test_texts_are_told_without_special_tokens_under_the_tasks_key(task, key, folder):
    made = interpreter_for(manifest(task), task, folder=folder)
    first, second = made.interpret({"sequences": ROWS}, [ModelInput({}, 1)] * 2)
    assert made.combine([first]) == [{key: "good morning"}]
    assert second == [{key: "good morning , Anna"}]


def test_spaces_before_marks_are_taken_back_where_the_tokenizer_says_so(folder):
    (folder / "tokenizer_config.json").write_text('{"clean_up_tokenization_spaces": true}')
    made = interpreter_for(manifest("translation"), "translation", folder=folder)
    (_, told) = made.interpret({"sequences": ROWS}, [ModelInput({}, 1)] * 2)
    assert told == [{"translation_text": "good morning, Anna"}]


def test_pieces_are_joined_and_languages_left_out(tmp_path):
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁Gu", "ten", "▁Tag"]
    (tmp_path / "vocab.json").write_text(json.dumps({p: n for n, p in enumerate(pieces)}))
    (tmp_path / "special_tokens_map.json").write_text(
        '{"additional_special_tokens": ["__de__", {"content": "__en__"}]}'
    )
    (tmp_path / "source.spm").touch()
    made = interpreter_for(manifest("translation", "source.spm"), "translation", folder=tmp_path)
    rows = np.array([[2, 7, 4, 5, 6, 2, 1]])
    assert made.interpret({"sequences": rows}, [ModelInput({}, 1)]) == [
        [{"translation_text": "Guten Tag"}]
    ]


def test_a_model_that_writes_nothing_is_refused(folder):
    odd = manifest("translation").model_copy(update={"outputs": {}})
    with pytest.raises(ConfigError, match="decode: tokens"):
        interpreter_for(odd, "translation", folder=folder)

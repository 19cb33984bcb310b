import json

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing

from streamer.errors import ModelError
from streamer.models import Manifest
from streamer.preprocess import preprocessor_for
from streamer.records import Text

WORDS = ["<pad>", "</s>", "<unk>", "en_XX", "de_DE", "a", "b", "say", "it:"]


@pytest.fixture
def folder(tmp_path):
    tokenizer = Tokenizer(WordLevel({w: n for n, w in enumerate(WORDS)}, unk_token=WORDS[2]))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing(
        single="en_XX $A </s>", special_tokens=[("en_XX", 3), ("</s>", 1)]
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


@pytest.fixture
def writer(folder):
    def made(generation=None, **text):
        spec = {
            "kind": "text",
            "tokenizer": "tokenizer.json",
            "max_length": 16,
            "tensors": {"input_ids": "ids", "attention_mask": "mask"},
            **text,
        }
        manifest = Manifest(
            name="m",
            task="translation",
            inputs={"text": spec},
            outputs={"sequences": {"decode": "tokens"}},
            generation=generation or {},
        )
        return preprocessor_for(manifest, folder)

    return made


def batch(made, *texts):
    parts = [part for parts in made.prepare([Text(text) for text in texts]) for part in parts]
    return made.collate(parts), parts


def test_a_prefix_and_a_language_are_put_before_each_text(writer):
    feeds, _ = batch(writer(prefix="say it: "), "a b")
    assert feeds["input_ids"].tolist() == [[3, 7, 8, 5, 6, 1]]
    feeds, _ = batch(writer(src_lang="de_DE"), "a b")
    assert feeds["input_ids"].tolist() == [[4, 5, 6, 1]]


def test_each_text_has_its_own_limit_where_that_goes_by_its_length(writer):
    feeds, _ = batch(writer({"max_new_tokens": 5}), "a", "a b a b")
    assert feeds["max_new_tokens"].tolist() == [5, 5]
    feeds, parts = batch(writer({"max_new_tokens": 5, "max_length_ratio": 0.5}), "a", "a b " * 5)
    assert feeds["max_new_tokens"].tolist() == [2, 5]
    assert [part.cost for part in parts] == [3 + 2, 12 + 5]


def test_answers_begin_with_their_language(writer):
    assert "forced_bos_token_id" not in batch(writer(), "a")[0]
    feeds, _ = batch(writer({"tgt_lang": "de_DE"}), "a", "b")
    assert feeds["forced_bos_token_id"].tolist() == [4, 4]


@pytest.mark.parametrize("settings", [{"src_lang": "xx"}, {"generation": {"tgt_lang": "xx"}}])
def test_a_language_that_the_tokenizer_lacks_is_named(writer, settings):
    with pytest.raises(ModelError, match="_lang: the tokenizer has no language 'xx'"):
        writer(**settings)


def test_a_tokenizer_that_adds_no_language_is_not_told_one(folder, writer):
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    content["post_processor"] = None
    file.write_text(json.dumps(content))
    with pytest.raises(ModelError, match="adds no token of a language"):
        writer(src_lang="de_DE")

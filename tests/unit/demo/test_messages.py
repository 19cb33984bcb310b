from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import onnxruntime
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

import streamer.demo
from streamer.demo.messages import (
    canonical,
    held_out,
    labels,
    sentence_pairs,
    traffic,
    training_messages,
)
from streamer.demo.messages.grammar import read_grammar
from streamer.demo.messages.noise import typed

MODELS = Path(streamer.demo.__file__).parent / "models"


class Model:
    """A shipped model, by its own files alone."""

    def __init__(self, name):
        folder = MODELS / name / "1"
        self.manifest = yaml.safe_load((folder / "model.yaml").read_text())
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(self.manifest["inputs"]["text"]["max_length"])
        self.session = onnxruntime.InferenceSession(str(folder / "model.onnx"))

    def run(self, texts, padding=0):
        found = [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]
        ids = np.zeros((len(found), max(map(len, found)) + padding), np.int64)
        mask = np.zeros_like(ids)
        for row, sequence in enumerate(found):
            ids[row, : len(sequence)] = sequence
            mask[row, : len(sequence)] = 1
        [output] = self.session.run(None, {"input_ids": ids, "attention_mask": mask})
        return output, mask

    def embed(self, texts, padding=0):
        tokens, mask = self.run(texts, padding)
        means = (tokens * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
        return means / np.linalg.norm(means, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def intents():
    return Model("intents")


@pytest.fixture(scope="module")
def sentences():
    return Model("sentences")


def test_a_seed_gives_the_same_messages_and_another_seed_others():
    assert list(training_messages(20, seed=3)) == list(training_messages(20, seed=3))
    assert list(training_messages(20, seed=3)) != list(training_messages(20, seed=4))


def test_every_label_gets_its_share_of_distinct_messages():
    messages = list(training_messages(50, seed=0))
    assert Counter(message.label for message in messages) == dict.fromkeys(labels(), 50)
    assert len({canonical(message.text) for message in messages}) == len(messages)


def test_no_phrase_leaves_a_choice_or_a_slot_behind():
    assert not [m.text for m in training_messages(100, seed=1) if set("(|){}") & set(m.text)]


def test_held_out_messages_are_many_balanced_and_distinct():
    counts = Counter(message.label for message in held_out())
    assert set(counts) == set(labels())
    assert min(counts.values()) >= 20
    assert len({canonical(message.text) for message in held_out()}) == len(held_out()) >= 320


def test_no_held_out_message_is_trained_on():
    unseen = {canonical(message.text) for message in held_out()}
    generated = {canonical(message.text) for message in training_messages(1500, seed=0)}
    assert not unseen & generated


def test_traffic_repeats_with_its_seed_and_knows_its_labels():
    messages = list(islice(traffic(seed=5), 300))
    assert messages == list(islice(traffic(seed=5), 300))
    assert {message.label for message in messages} == set(labels())
    assert all(message.text for message in messages)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("hello", "before the first section"),
        ("[intent a]\n(x|y", "do not match"),
        ("[intent a]\n{nowhere}", "without a section: nowhere"),
    ],
)
def test_a_broken_grammar_says_what_is_wrong(text, problem):
    with pytest.raises(ValueError, match=problem):
        read_grammar(text)


def test_choices_and_slots_nest():
    grammar = read_grammar("[slot who]\n(my|your) cat\n[intent a]\n(({who} |)sleeps|eats)")
    drawn = {grammar.intent("a", Random(seed)) for seed in range(50)}
    assert drawn == {"my cat sleeps", "your cat sleeps", "sleeps", "eats"}


@given(st.text(max_size=80), st.integers())
def test_any_text_can_be_typed(text, seed):
    assert typed(text, Random(seed)) == typed(text, Random(seed))


def test_the_shipped_classifier_knows_the_labels_in_their_order(intents):
    assert tuple(intents.manifest["id2label"].values()) == labels()
    assert tuple(intents.manifest["id2label"]) == tuple(range(len(labels())))


def test_the_shipped_classifier_reads_messages_it_was_not_trained_on(intents):
    logits, _ = intents.run(message.text for message in held_out())
    right = [
        labels()[row] == message.label
        for row, message in zip(logits.argmax(1), held_out(), strict=True)
    ]
    assert np.mean(right) >= 0.88
    assert np.mean(right) == pytest.approx(intents.manifest["metrics"]["accuracy"], abs=0.01)


def test_neither_padding_nor_neighbours_change_the_classifier_s_answer(intents):
    texts = [message.text for message in held_out()[::7]]
    together, _ = intents.run(texts, padding=9)
    alone = np.concatenate([intents.run([text])[0] for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-4)


@pytest.mark.parametrize("text", ["", "?", "😀", "x" * 5000, "word " * 5000])
def test_odd_texts_get_finite_answers(text, intents, sentences):
    assert np.isfinite(intents.run([text])[0]).all()
    assert np.isfinite(sentences.embed([text])).all()


def test_alike_sentences_are_nearer_than_others(sentences):
    pairs = sentence_pairs()
    left = sentences.embed(pair.sentence1 for pair in pairs)
    right = sentences.embed(pair.sentence2 for pair in pairs)
    cosines = (left * right).sum(1)
    alike = np.array([pair.alike for pair in pairs])
    assert len(pairs) == 60
    assert alike.sum() == 30
    in_order = cosines[alike][:, None] > cosines[~alike]
    assert in_order.mean() >= 0.98


def test_padding_does_not_change_an_embedding(sentences):
    texts = ["Where is my parcel?", "The cat sleeps on the sofa.", "No"]
    alone = np.concatenate([sentences.embed([text]) for text in texts])
    np.testing.assert_allclose(sentences.embed(texts, padding=5), alone, atol=1e-6)


def test_word_order_aside_the_same_words_are_the_same_sentence(sentences):
    first, second = sentences.embed(["dog bites man", "man bites dog"])
    assert float(first @ second) == pytest.approx(1, abs=1e-5)

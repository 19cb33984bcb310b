"""Texts to token ids: cut, padded, paired; the same whatever they are batched with."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.records import Image, Pair, Text

BERT = {"input_ids": "ids", "attention_mask": "mask", "token_type_ids": "types"}
CLS, SEP, UNK, PAD, A, B, C = range(7)
TEXTS = st.lists(st.text("abc xyz", max_size=30), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def reader(model):
    def made(**settings):
        spec = {"tokenizer": "tokenizer.json", "max_length": 8, "tensors": BERT, **settings}
        return model("text-classification", kind="text", **spec)

    return made


def parts_of(reader, *samples):
    return [part for parts in reader.prepare(samples) for part in parts]


def test_a_batch_is_padded_to_its_longest_text(reader):
    chosen = reader()
    batch = chosen.collate(parts_of(chosen, Text("a b"), Text("c")))
    assert batch["input_ids"].tolist() == [[CLS, A, B, SEP], [CLS, C, SEP, PAD]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert batch["token_type_ids"].tolist() == [[0] * 4] * 2
    assert {array.dtype for array in batch.values()} == {np.dtype("int64")}


def test_a_long_text_is_cut_with_its_special_tokens_kept(reader):
    (part,) = parts_of(reader(), Text("a b c " * 50))
    assert part.arrays["input_ids"].tolist() == [CLS, A, B, C, A, B, C, SEP]
    assert (part.cost, part.length, part.group) == (8, 8, None)


def test_a_pair_is_one_sequence_for_a_cross_encoder(reader):
    chosen = reader(pair=True)
    assert chosen.kind == "pair"
    (part,) = parts_of(chosen, Pair("a b", "c"))
    assert part.arrays["input_ids"].tolist() == [CLS, A, B, SEP, C, SEP]
    assert part.arrays["token_type_ids"].tolist() == [0, 0, 0, 0, 1, 1]


def test_a_long_pair_is_cut_at_its_longer_side(reader):
    (part,) = parts_of(reader(pair=True), Pair("a " * 20, "c"))
    assert part.arrays["input_ids"].tolist() == [CLS, A, A, A, A, SEP, C, SEP]


def test_a_pair_is_two_parts_for_a_model_that_embeds_each(reader):
    ((first, second),) = reader().prepare([Pair("a", "b c")])
    assert first.arrays["input_ids"].tolist() == [CLS, A, SEP]
    assert second.arrays["input_ids"].tolist() == [CLS, B, C, SEP]


def test_samples_of_another_kind_are_errors_and_the_others_go_on(reader):
    picture = Image(np.zeros((2, 2, 3), np.uint8))
    bad, good = reader().prepare([picture, Text("a")])
    assert (bad.reason, str(bad)) == ("wrong-type", "a picture, where the model reads texts")
    assert len(good) == 1
    (bad,) = reader(pair=True).prepare([Text("a")])
    assert str(bad) == "a text, where the model reads pairs of sentences"
    assert reader().prepare([]) == []
    assert reader().prepare([picture])[0].reason == "wrong-type"


def test_without_a_mask_only_equal_lengths_share_a_batch(reader):
    one, two = parts_of(reader(tensors={"tokens": "ids"}), Text("a"), Text("a b"))
    assert one.group != two.group


def test_tensors_have_the_type_that_the_manifest_says(reader):
    chosen = reader(dtype="int32")
    batch = chosen.collate(parts_of(chosen, Text("a")))
    assert {array.dtype for array in batch.values()} == {np.dtype("int32")}


@given(texts=TEXTS, cut=st.integers(0, 12))
def test_results_do_not_depend_on_the_chunks(texts, cut, reader):
    chosen = reader()
    samples = [Text(text) for text in texts]
    whole = parts_of(chosen, *samples)
    chunks = parts_of(chosen, *samples[:cut]) + parts_of(chosen, *samples[cut:])
    for one, other in zip(whole, chunks, strict=True):
        assert one.length == other.length <= 8
        for tensor in BERT:
            assert np.array_equal(one.arrays[tensor], other.arrays[tensor])


@given(texts=TEXTS)
def test_the_mask_gives_every_text_back(texts, reader):
    chosen = reader()
    parts = parts_of(chosen, *map(Text, texts))
    batch = chosen.collate(parts)
    for row, mask, part in zip(batch["input_ids"], batch["attention_mask"], parts, strict=True):
        assert row[mask == 1].tolist() == part.arrays["input_ids"].tolist()
        assert set(row[mask == 0].tolist()) <= {PAD}


def test_threads_share_a_tokenizer(reader):
    chosen = reader()
    samples = [Text("a b c " * (n % 9)) for n in range(64)]
    chunks = [samples[n : n + 8] for n in range(0, 64, 8)] * 10
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(chosen.prepare, chunks))
    wanted = chosen.prepare(samples)
    for n, result in enumerate(results):
        for one, other in zip(result, wanted[n % 8 * 8 :], strict=False):
            assert np.array_equal(one[0].arrays["input_ids"], other[0].arrays["input_ids"])


def test_string_tensors_take_the_text_itself(model):
    chosen = model("text-classification", kind="text", tensors={"text": "string"}, lowercase=True)
    parts = parts_of(chosen, Text("Hello THERE"), Text("Ä\0b"))
    batch = chosen.collate(parts)["text"]
    assert batch.dtype == object
    assert batch.tolist() == [["hello there"], ["ä\0b"]]
    assert [part.cost for part in parts] == [2, 1]
    as_is = model("text-classification", kind="text", tensors={"text": "string"})
    assert as_is.collate(parts_of(as_is, Text("Hi")))["text"].tolist() == [["Hi"]]


def test_texts_that_are_too_short_are_padded_to_what_the_model_takes(reader):
    chosen = reader(min_length=6, tensors={"ids": "ids"})
    (part,) = parts_of(chosen, Text("a"))
    assert (part.cost, part.group) == (6, 6)
    assert chosen.collate([part])["ids"].tolist() == [[CLS, A, SEP, PAD, PAD, PAD]]


def test_every_text_may_be_padded_to_the_same_length(reader):
    chosen = reader(padding="max_length", tensors={"ids": "ids"})
    parts = parts_of(chosen, Text("a"), Text("a b"))
    assert {part.group for part in parts} == {None}
    assert chosen.collate(parts)["ids"].shape == (2, 8)


def test_the_other_end_or_the_other_sentence_may_be_cut(reader):
    (part,) = parts_of(reader(truncation_side="left"), Text("a " * 20 + "b c"))
    assert part.arrays["input_ids"].tolist() == [CLS, A, A, A, A, B, C, SEP]
    pair = Pair("a a b b", "c c c c c")
    (part,) = parts_of(reader(pair=True, truncation="only_second"), pair)
    assert part.arrays["input_ids"].tolist() == [CLS, A, A, B, B, SEP, C, SEP]


def test_padding_stands_before_the_text_where_the_tokenizer_says_so(reader, folder):
    file = folder / "tokenizer_config.json"
    file.write_text('{"padding_side": "left"}')
    try:
        chosen = reader()
    finally:
        file.unlink()
    batch = chosen.collate(parts_of(chosen, Text("a b"), Text("c")))
    assert batch["input_ids"].tolist() == [[CLS, A, B, SEP], [PAD, CLS, C, SEP]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [0, 1, 1, 1]]


def test_a_tagger_reads_a_long_text_in_pieces_that_overlap(model):
    spec = {"kind": "text", "tokenizer": "tokenizer.json", "max_length": 6, "tensors": BERT}
    text = Text("a b c d e f")
    (parts,) = model("token-classification", **spec, stride=2).prepare([text])
    assert [part.context.encoding.offsets[1] for part in parts] == [(0, 1), (4, 5)]
    assert [part.arrays["input_ids"].tolist()[1:-1] for part in parts] == [
        [A, B, C, C + 1],
        [C, C + 1, C + 2, C + 3],
    ]
    assert {part.context.text for part in parts} == {text.text}
    (whole,) = model("token-classification", **spec).prepare([text])
    assert len(whole) == 1

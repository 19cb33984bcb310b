import numpy as np
import pytest

from streamer.errors import ModelError
from streamer.models import Manifest
from streamer.preprocess import preprocessor_for
from streamer.records import Text

INDEX = "word,id\nthe,1\nfilm,17\nwas,13\nWonderful,386\n"


@pytest.fixture
def reader(tmp_path):
    def made(index=INDEX, **settings):
        (tmp_path / "words.csv").write_text(index, encoding="utf-8")
        spec = {
            "kind": "text",
            "tokenizer": "words.csv",
            "max_length": 600,
            "padding": "max_length",
            "dtype": "int32",
            "tensors": {"Features": "ids"},
            **settings,
        }
        manifest = Manifest(
            name="m",
            task="text-classification",
            inputs={"text": spec},
            outputs={"y": {"decode": "probabilities"}},
        )
        return preprocessor_for(manifest, tmp_path)

    return made


def rows(reader, *texts):
    parts = [part for parts in reader.prepare([Text(text) for text in texts]) for part in parts]
    return reader.collate(parts)["Features"]


def test_words_are_numbered_and_texts_brought_to_one_length(reader):
    batch = rows(reader(), "the film  was odd", "")
    assert batch.shape == (2, 600)
    assert batch.dtype == np.int32
    assert batch[0, :5].tolist() == [1, 17, 13, 0, 0]
    assert not batch[0, 4:].any()
    assert not batch[1].any()


def test_what_is_too_long_is_cut_at_the_end_that_is_said(reader):
    text = "the " * 599 + "film was film"
    assert rows(reader(), text)[0, -2:].tolist() == [1, 17]
    assert rows(reader(truncation_side="left"), text)[0, -3:].tolist() == [17, 13, 17]


def test_case_counts_unless_texts_are_lower_cased_first(reader):
    assert rows(reader(), "Wonderful FILM")[0, :2].tolist() == [386, 0]
    assert rows(reader(lowercase=True, unk_id=2), "Wonderful FILM")[0, :2].tolist() == [2, 17]


def test_texts_share_a_batch_whatever_their_length(reader):
    parts = [parts[0] for parts in reader().prepare([Text("the"), Text("the film was")])]
    assert {part.group for part in parts} == {None}
    free = reader(padding="longest", min_length=4)
    parts = [parts[0] for parts in free.prepare([Text("the"), Text("the film was")])]
    # without a mask padding is read: only what is padded to the same length goes together
    assert {part.group for part in parts} == {4}
    assert free.collate(parts)["Features"].tolist() == [[1, 0, 0, 0], [1, 17, 13, 0]]


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ("", "no line has a word and its number"),
        ("the;1\n", "no line has a word and its number"),
        ("the,1\nfilm,x\n", "expected word,number; found 'film,x'"),
    ],
)
def test_a_file_that_is_no_dictionary_is_refused(reader, index, said):
    with pytest.raises(ModelError, match=said):
        reader(index)


def test_pairs_and_places_of_words_need_a_tokenizer(reader):
    with pytest.raises(ModelError, match="takes no pairs"):
        reader(pair=True)

import pytest

from streamer.errors import ModelError, RecordError
from streamer.models import Manifest
from streamer.preprocess import preprocessor_for
from streamer.records import Pair, Text

CLS, SEP, UNK, PAD, A, B, C, D = range(8)
TASK = "zero-shot-classification"


@pytest.fixture
def asked(folder):
    def made(labels, *, pair=True, **postprocess):
        spec = {
            "kind": "text",
            "tokenizer": "tokenizer.json",
            "max_length": 8,
            "pair": pair,
            "truncation": "only_first",
            "tensors": {"ids": "ids", "types": "types"},
        }
        manifest = Manifest(
            name="m",
            task=TASK,
            inputs={"text": spec},
            outputs={"y": {"decode": "logits"}},
            postprocess={"candidate_labels": labels, **postprocess},
        )
        return preprocessor_for(manifest, folder)

    return made


def test_each_label_is_held_against_the_text_in_a_sentence(asked):
    made = asked(["c", "d"], hypothesis_template="b {}")
    assert made.kind == "text"
    ((first, second),) = made.prepare([Text("a")])
    assert first.arrays["ids"].tolist() == [CLS, A, SEP, B, C, SEP]
    assert second.arrays["ids"].tolist() == [CLS, A, SEP, B, D, SEP]
    assert made.collate([first])["types"].tolist() == [[0, 0, 0, 1, 1, 1]]


def test_of_a_long_text_the_hypothesis_is_never_cut(asked):
    ((part,),) = asked(["c"], hypothesis_template="b {}").prepare([Text("a " * 20)])
    assert part.arrays["ids"].tolist() == [CLS, A, A, A, SEP, B, C, SEP]


def test_what_is_no_text_takes_no_other_with_it(asked):
    first, second = asked(["c", "d"], hypothesis_template="{}").prepare([Pair("a", "b"), Text("a")])
    assert isinstance(first, RecordError)
    assert len(second) == 2


def test_labels_and_a_model_of_pairs_are_needed(asked):
    with pytest.raises(ModelError, match="write candidate_labels"):
        asked([])
    with pytest.raises(ModelError, match="needs pair: true"):
        asked(["c"], pair=False)

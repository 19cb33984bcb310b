import numpy as np
import pytest
from tokenizers import Tokenizer, decoders
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from streamer.errors import ConfigError, RecordError
from streamer.models import Manifest
from streamer.postprocess import interpreter_for
from streamer.records import ModelInput, TextPiece

PIECES = ["[UNK]", "[CLS]", "[SEP]", "Anna", "We", "##ber", "in", "Bonn", "and", "Rome"]
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
TEXT = "Anna Weber in Bonn"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tagger")
    tokenizer = Tokenizer(WordPiece({p: n for n, p in enumerate(PIECES)}, unk_token=PIECES[0]))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def tag(folder):
    """Tags texts: the label that each token has, special ones included, and how sure it is."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def tagged(*texts, threshold=None, left=False, **postprocess):
        manifest = Manifest.model_validate(
            {
                "name": "m",
                "task": "token-classification",
                "id2label": LABELS,
                "inputs": {
                    "text": {"kind": "text", "tokenizer": "tokenizer.json", "tensors": {"x": "ids"}}
                },
                "outputs": {"y": {"decode": "probabilities"}},
                "postprocess": postprocess,
            }
        )
        made = interpreter_for(manifest, "token-classification", folder=folder, threshold=threshold)
        inputs, rows = [], []
        longest = max(len(labels) for _, labels in texts)
        for text, labels in texts:
            encoding = tokenizer.encode(text)
            assert len(encoding.ids) == len(labels)
            row = np.full((longest, len(LABELS)), np.nan, np.float32)
            scores = np.zeros((len(labels), len(LABELS)), np.float32)
            for at, (label, score) in enumerate(labels):
                scores[at] = (1 - score) / (len(LABELS) - 1)
                scores[at, LABELS.index(label)] = score
            place = slice(longest - len(labels), None) if left else slice(len(labels))
            row[place] = scores
            rows.append(row)
            inputs.append(
                ModelInput(
                    {},
                    len(labels),
                    length=len(labels),
                    context=TextPiece(text, encoding),
                    pads_left=left,
                )
            )
        return made, made.interpret({"y": np.array(rows)}, inputs)

    return tagged


O = ("O", 0.9)  # noqa: E741 - the label of what is no entity
MARKED = [O, ("B-PER", 0.8), ("I-PER", 0.6), ("I-LOC", 0.7), O, ("B-LOC", 0.9), O]


def test_neighbours_of_one_label_are_one_entity_with_its_characters(tag):
    _, (entities,) = tag((TEXT, MARKED))
    assert [(e["entity_group"], e["word"], e["start"], e["end"]) for e in entities] == [
        ("PER", "Anna We", 0, 7),
        ("LOC", "##ber", 7, 10),
        ("LOC", "Bonn", 14, 18),
    ]
    assert entities[0]["score"] == pytest.approx(0.7)
    assert TEXT[14:18] == "Bonn"


@pytest.mark.parametrize(
    ("strategy", "second", "score"),
    [("first", ("PER", 0, 10), 0.7), ("max", ("PER", 0, 4), 0.8), ("average", ("PER", 0, 4), 0.8)],
)
def test_a_word_has_one_label_whatever_its_tokens_say(tag, strategy, second, score):
    _, (entities,) = tag((TEXT, MARKED), aggregation_strategy=strategy)
    first = entities[0]
    assert (first["entity_group"], first["start"], first["end"]) == second
    assert first["score"] == pytest.approx(score)
    assert [entity["word"] for entity in entities][-1] == "Bonn"
    assert all("##" not in entity["word"] for entity in entities)


def test_without_a_strategy_each_token_is_told_with_its_place(tag):
    _, (entities,) = tag((TEXT, MARKED), aggregation_strategy="none")
    assert [(e["entity"], e["index"], e["word"]) for e in entities] == [
        ("B-PER", 1, "Anna"),
        ("I-PER", 2, "We"),
        ("I-LOC", 3, "##ber"),
        ("B-LOC", 5, "Bonn"),
    ]


def test_two_entities_side_by_side_stay_two_where_the_second_begins(tag):
    two = [O, ("B-LOC", 0.9), ("B-LOC", 0.8), O]
    _, (entities,) = tag(("Bonn Rome", two))
    assert [entity["word"] for entity in entities] == ["Bonn", "Rome"]


def test_an_unknown_word_is_told_as_it_is_written(tag):
    _, (entities,) = tag(("in Zürich", [O, O, ("B-LOC", 0.9), O]))
    assert entities == [
        {"entity_group": "LOC", "score": pytest.approx(0.9), "word": "Zürich", "start": 3, "end": 9}
    ]


def test_padding_on_either_side_is_not_read_and_a_row_of_no_numbers_spares_the_others(tag):
    short = ("Rome", [O, ("B-LOC", 0.9), O])
    for left in (False, True):
        _, (_, entities) = tag((TEXT, MARKED), short, left=left)
        assert [entity["word"] for entity in entities] == ["Rome"]
    broken = ("Rome", [O, ("B-LOC", float("nan")), O])
    _, (failed, entities) = tag(broken, short)
    assert isinstance(failed, RecordError)
    assert failed.reason == "non-finite"
    assert len(entities) == 1


def test_a_threshold_and_other_labels_leave_entities_out(tag):
    assert len(tag((TEXT, MARKED), threshold=0.75)[1][0]) == 1
    _, (entities,) = tag((TEXT, MARKED), ignore_labels=["O", "LOC"])
    assert {entity["entity_group"] for entity in entities} == {"PER"}


def test_of_entities_that_overlap_in_two_pieces_the_longer_one_stays(tag):
    made, _ = tag((TEXT, MARKED))

    def entity(start, end, score):
        return {"entity_group": "LOC", "score": score, "word": "", "start": start, "end": end}

    whole, half, other = entity(0, 9, 0.5), entity(5, 9, 0.9), entity(20, 24, 0.4)
    surer = entity(20, 24, 0.6)
    assert made.combine([[whole, other], [half, surer]]) == [whole, surer]


def test_a_tagger_without_its_tokenizer_is_refused(tmp_path):
    manifest = Manifest.model_validate(
        {
            "name": "m",
            "task": "token-classification",
            "inputs": {"x": {"kind": "text", "tokenizer": "t.json", "tensors": {"x": "ids"}}},
            "outputs": {"y": {"decode": "logits"}},
        }
    )
    for folder in (None, tmp_path):
        with pytest.raises(ConfigError, match=r"needs t\.json in its folder"):
            interpreter_for(manifest, "token-classification", folder=folder)
    odd = manifest.model_copy(update={"outputs": {}})
    with pytest.raises(ConfigError, match="one output with decode: logits"):
        interpreter_for(odd, "token-classification", folder=tmp_path)

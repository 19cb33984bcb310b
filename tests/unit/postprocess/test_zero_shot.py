import numpy as np
import pytest

from streamer.errors import ConfigError, RecordError
from streamer.models import Manifest
from streamer.postprocess import interpreter_for
from streamer.records import ModelInput

TOPICS = ["food", "sport", "travel"]
# contradiction, neutral, entailment
LOGITS = np.array([[0, 5, 1], [0, 1, 3], [3, 0, 2]], np.float32)


def ranked(labels=("contradiction", "neutral", "entailment"), threshold=None, top_k=None, **more):
    manifest = Manifest.model_validate(
        {
            "name": "m",
            "task": "zero-shot-classification",
            "id2label": list(labels),
            "inputs": {"text": {"kind": "text", "tokenizer": "t", "tensors": {"ids": "ids"}}},
            "outputs": {"y": {"decode": "logits"}},
            "postprocess": {"candidate_labels": TOPICS, **more},
        }
    )
    return interpreter_for(manifest, "zero-shot-classification", threshold=threshold, top_k=top_k)


def answer(made, logits=LOGITS):
    parts = made.interpret({"y": logits}, [ModelInput({}, 1)] * len(logits))
    return made.combine(parts)


def test_labels_are_ranked_by_how_well_the_text_entails_them():
    told = answer(ranked())
    assert told["labels"] == ["sport", "travel", "food"]
    powers = np.exp([3, 2, 1])
    assert told["scores"] == pytest.approx((powers / powers.sum()).tolist())


def test_where_several_may_hold_each_is_held_against_its_contrary():
    told = answer(ranked(multi_label=True))
    assert told["labels"] == ["sport", "food", "travel"]
    assert told["scores"] == pytest.approx([1 / (1 + np.exp(-x)) for x in (3, 1, -1)])


def test_entailment_is_found_by_its_name_wherever_it_stands():
    turned = np.ascontiguousarray(LOGITS[:, ::-1])
    assert answer(ranked(labels=("ENTAILMENT", "b", "c")), turned) == answer(ranked())


def test_a_single_label_is_not_ranked_against_itself():
    told = answer(ranked(candidate_labels=["sport"]), LOGITS[1:2])
    assert told["scores"] == pytest.approx([1 / (1 + np.exp(-3))])


def test_few_labels_or_sure_ones_only_are_told():
    assert answer(ranked(top_k=1))["labels"] == ["sport"]
    assert answer(ranked(threshold=0.2))["labels"] == ["sport", "travel"]


def test_no_numbers_are_said_to_be_none():
    (part,) = ranked().interpret({"y": LOGITS[:1] * np.nan}, [ModelInput({}, 1)])
    assert isinstance(part, RecordError)


def test_a_model_that_knows_no_entailment_is_refused():
    with pytest.raises(ConfigError, match="begins with 'entail'"):
        ranked(labels=("a", "b", "c"))

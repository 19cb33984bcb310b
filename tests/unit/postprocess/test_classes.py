import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from streamer.errors import ConfigError, RecordError
from streamer.models import Manifest
from streamer.postprocess import interpreter_for
from streamer.postprocess.classes import sigmoid
from streamer.records import ModelInput

TEXT = {"text": {"kind": "text", "tensors": {"t": "string"}}}
LABELS = {0: "a", 1: "b", 2: "c"}


def interpret(outputs, described, *, threshold=None, top_k=None, **manifest):
    """Interpret outputs (lists of rows) as text classification."""
    full = {"id2label": LABELS, **manifest}
    built = Manifest.model_validate(
        {"name": "m", "task": "text-classification", "inputs": TEXT, "outputs": described, **full}
    )
    interpreter = interpreter_for(built, "text-classification", threshold=threshold, top_k=top_k)
    items = len(next(iter(outputs.values())))
    return interpreter.interpret(outputs, [ModelInput({}, 1)] * items)


def pairs(row):
    return [(entry["label"], round(entry["score"], 4)) for entry in row]


def logits(*rows, dtype=np.float32):
    return {"y": np.array(rows, dtype=dtype)}


def test_logits_of_one_choice_become_softmax_probabilities_best_first():
    rows = interpret(logits([1, 3, 2], [0, 0, 9]), {"y": {"decode": "logits"}})
    assert pairs(rows[0]) == [("b", 0.6652), ("c", 0.2447), ("a", 0.09)]
    assert rows[1][0]["label"] == "c"
    assert isinstance(rows[0][0]["score"], float)


def test_logits_of_several_choices_become_sigmoid_probabilities():
    many = {"problem_type": "multi_label_classification"}
    rows = interpret(logits([0, 3, -2]), {"y": {"decode": "logits"}}, **many)
    assert pairs(rows[0]) == [("b", 0.9526), ("a", 0.5), ("c", 0.1192)]
    rows = interpret(logits([0, 3, -2]), {"y": {"decode": "logits"}}, threshold=0.5, **many)
    assert pairs(rows[0]) == [("b", 0.9526), ("a", 0.5)]
    rows = interpret(logits([-9, -9, -9]), {"y": {"decode": "logits"}}, threshold=0.5, **many)
    assert rows == [[]]


@pytest.mark.parametrize(
    ("manifest", "first"),
    [
        ({"postprocess": {"function_to_apply": "sigmoid"}}, 0.9526),
        ({"postprocess": {"function_to_apply": "none"}}, 3.0),
        ({"problem_type": "regression"}, 3.0),
        ({"problem_type": "single_label_classification"}, 0.6652),
    ],
)
def test_the_function_follows_the_manifest(manifest, first):
    rows = interpret(logits([1, 3, 2]), {"y": {"decode": "logits"}}, **manifest)
    assert round(rows[0][0]["score"], 4) == first


def test_a_single_logit_becomes_a_sigmoid_probability():
    rows = interpret(logits([0], [3]), {"y": {"decode": "logits"}}, id2label={0: "toxic"})
    assert [pairs(row) for row in rows] == [[("toxic", 0.5)], [("toxic", 0.9526)]]


def test_probabilities_stay_as_they_are_and_quantised_ones_are_scaled():
    rows = interpret(logits([0.25, 0.5, 0.25]), {"y": {"decode": "probabilities"}})
    assert pairs(rows[0]) == [("b", 0.5), ("a", 0.25), ("c", 0.25)]
    rows = interpret(
        logits([10, 138, 74], dtype=np.uint8),
        {"y": {"decode": "probabilities", "scale": 1 / 256, "zero_point": 10}},
    )
    assert pairs(rows[0]) == [("b", 0.5), ("c", 0.25), ("a", 0.0)]


def test_five_labels_are_given_unless_told_otherwise():
    names = {index: f"l{index}" for index in range(9)}
    row = list(range(9))
    described = {"y": {"decode": "logits"}}
    assert len(interpret(logits(row), described, id2label=names)[0]) == 5
    assert len(interpret(logits(row), described, id2label=names, top_k=2)[0]) == 2
    own = {"postprocess": {"top_k": 3, "threshold": 0.2}}
    assert pairs(interpret(logits(row), described, id2label=names, **own)[0]) == [
        ("l8", 0.6322),
        ("l7", 0.2326),
    ]
    assert len(interpret(logits(row), described, id2label=names, threshold=0.0, **own)[0]) == 3


def test_labels_without_a_name_are_called_as_hugging_face_does():
    rows = interpret(logits([1, 0]), {"y": {"decode": "logits"}}, id2label={})
    assert [entry["label"] for entry in rows[0]] == ["LABEL_0", "LABEL_1"]


def test_only_the_item_that_is_no_number_is_refused():
    bad = [[1, np.nan, 2], [1, 2, 3], [np.inf, 0, 0]]
    rows = interpret(logits(*bad), {"y": {"decode": "logits"}})
    assert [isinstance(row, RecordError) for row in rows] == [True, False, True]
    assert rows[0].reason == "non-finite"
    assert rows[1][0]["label"] == "c"


def test_a_sequence_of_maps_is_read():
    maps = {"p": [{"ham": 0.25, "spam": 0.75}, {"ham": 0.5, "spam": float("nan")}]}
    rows = interpret(maps, {"p": {"decode": "probabilities"}})
    assert pairs(rows[0]) == [("spam", 0.75), ("ham", 0.25)]
    assert isinstance(rows[1], RecordError)
    rows = interpret({"p": [{0: 0.25, 2: 0.75}]}, {"p": {"decode": "probabilities"}})
    assert pairs(rows[0]) == [("c", 0.75), ("a", 0.25)]


def test_labels_alone_are_taken_as_certain():
    rows = interpret({"l": np.array([["ham"], ["spam"]])}, {"l": {"decode": "label"}})
    assert rows == [[{"label": "ham", "score": 1.0}], [{"label": "spam", "score": 1.0}]]


def test_labels_beside_probabilities_are_left_alone():
    outputs = {"l": np.array(["b"]), "p": np.array([[0.1, 0.6, 0.3]], np.float32)}
    rows = interpret(outputs, {"l": {"decode": "label"}, "p": {"decode": "probabilities"}})
    assert pairs(rows[0]) == [("b", 0.6), ("c", 0.3), ("a", 0.1)]


def test_outputs_that_do_not_make_a_classification_are_refused():
    for described in (
        {"y": {"decode": "yolox"}},
        {"y": {"decode": "logits"}, "z": {"decode": "logits"}},
    ):
        with pytest.raises(ConfigError, match="needs one output with decode: logits"):
            interpret({"y": []}, described)


@given(
    scores=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements=st.sampled_from([0.0, 0.25, 0.5, 0.5, 1.0]),
    ),
    top_k=st.integers(1, 15),
    threshold=st.sampled_from([None, 0.0, 0.3, 1.0]),
)
def test_ranking_whole_batches_equals_sorting_each_row(scores, top_k, threshold):
    rows = interpret(
        {"y": scores},
        {"y": {"decode": "probabilities"}},
        top_k=top_k,
        threshold=threshold,
        id2label={},
    )
    for row, given_scores in zip(rows, scores.tolist(), strict=True):
        ranked = sorted(enumerate(given_scores), key=lambda pair: (-pair[1], pair[0]))[:top_k]
        ranked = [(f"LABEL_{i}", s) for i, s in ranked if threshold is None or s >= threshold]
        assert [(entry["label"], entry["score"]) for entry in row] == ranked


def test_the_sigmoid_of_large_numbers_does_not_overflow():
    with np.errstate(all="raise", under="ignore"):
        assert sigmoid(np.array([-1000, 0, 1000], np.float32)).tolist() == [0, 0.5, 1]


PETS = {"poodle": "dog", "beagle": "dog", "tabby": "cat", "dog": "animal", "cat": "animal"}
KINDS = {0: "poodle", 1: "beagle", 2: "tabby", 3: "car"}


def test_groups_score_the_sum_of_what_is_below_them():
    rows = interpret(
        logits([0.5, 0.25, 0.125, 0.125]),
        {"y": {"decode": "probabilities"}},
        top_k=2,
        id2label=KINDS,
        parents=PETS,
    )
    above = [{"label": "dog", "score": 0.75}, {"label": "animal", "score": 0.875}]
    assert rows == [
        [
            {"label": "poodle", "score": 0.5, "parents": above},
            {"label": "beagle", "score": 0.25, "parents": above},
        ]
    ]


def test_where_several_labels_hold_a_group_is_as_sure_as_the_surest():
    [row] = interpret(
        logits([0.9, 0.8, 0.1, 0.2]),
        {"y": {"decode": "probabilities"}},
        id2label=KINDS,
        parents=PETS,
        problem_type="multi_label_classification",
    )
    assert [(above["label"], round(above["score"], 4)) for above in row[0]["parents"]] == [
        ("dog", 0.9),
        ("animal", 0.9),
    ]
    assert [entry["parents"] for entry in row if entry["label"] == "car"] == [[]]


@pytest.mark.parametrize("labels", [["cat", "dog"], ["background", "cat", "dog"]])
def test_a_background_takes_part_but_is_no_answer(labels):
    [row] = interpret(
        logits([3.0, 1.0, 2.0]),
        {"y": {"decode": "logits", "background": True}},
        id2label=dict(enumerate(labels)),
    )
    shares = np.exp([3.0, 1.0, 2.0]) / np.exp([3.0, 1.0, 2.0]).sum()
    assert pairs(row) == [("dog", round(shares[2], 4)), ("cat", round(shares[1], 4))]


def test_a_background_may_come_last():
    [row] = interpret(
        logits([0.3, 0.1, 0.6]),
        {"y": {"decode": "probabilities", "background": "last"}},
        id2label={0: "cat", 1: "dog"},
    )
    assert pairs(row) == [("cat", 0.3), ("dog", 0.1)]

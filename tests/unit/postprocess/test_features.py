import numpy as np
import pytest

from streamer.errors import ConfigError, RecordError
from streamer.models import Manifest
from streamer.postprocess import interpreter_for
from streamer.records import ModelInput

VALUES = np.array([[[3, 4], [0, 3], [9, 0]], [[0, 2], [7, 4], [0, 6]]], np.float32)


def features(**output):
    manifest = Manifest.model_validate(
        {
            "name": "m",
            "task": "feature-extraction",
            "inputs": {"text": {"kind": "text", "tokenizer": "t", "tensors": {"m": "mask"}}},
            "outputs": {"y": {"decode": "embedding", **output}},
        }
    )
    return interpreter_for(manifest, "feature-extraction")


def texts(*lengths, left=False):
    return [ModelInput({"m": np.ones(n)}, n, length=n, pads_left=left) for n in lengths]


def test_every_tokens_vector_is_told_without_those_of_padding():
    first, second = features(pooling="none").interpret({"y": VALUES}, texts(2, 3))
    assert first == [[3, 4], [0, 3]]
    assert len(second) == 3
    (left,) = features(pooling="none").interpret({"y": VALUES[:1]}, texts(2, left=True))
    assert left == [[0, 3], [9, 0]]


def test_pooled_vectors_are_one_a_text_and_of_length_1_where_that_is_wanted():
    assert features(pooling="mean").interpret({"y": VALUES}, texts(2, 3))[0] == [1.5, 3.5]
    assert features(pooling="cls").interpret({"y": VALUES}, texts(2, 3))[1] == [0, 2]
    assert features(pooling="cls").interpret({"y": VALUES}, texts(2, 3, left=True))[0] == [0, 3]
    (unit,) = features(pooling="cls", normalize=True).interpret({"y": VALUES[:1]}, texts(3))
    assert unit == pytest.approx([0.6, 0.8])


def test_a_vector_that_is_pooled_already_is_told_as_it_is():
    assert features(pooling="none").interpret({"y": VALUES[:, 0]}, texts(2, 3)) == [[3, 4], [0, 2]]


def test_vectors_of_no_numbers_are_dead_letters_unless_only_padding_has_them():
    values = VALUES.copy()
    values[0, 2] = np.nan
    for pooling in ("none", "mean"):
        made = features(pooling=pooling)
        assert not isinstance(made.interpret({"y": values}, texts(2, 3))[0], RecordError)
        assert isinstance(made.interpret({"y": values}, texts(3, 3))[0], RecordError)


def test_a_model_without_an_embedding_is_refused():
    manifest = Manifest.model_validate(
        {
            "name": "m",
            "task": "feature-extraction",
            "inputs": {"text": {"kind": "text", "tokenizer": "t", "tensors": {"m": "mask"}}},
            "outputs": {"y": {"decode": "logits"}},
        }
    )
    with pytest.raises(ConfigError, match="decode: embedding"):
        interpreter_for(manifest, "feature-extraction")


def pictures(count, **output):
    manifest = Manifest.model_validate(
        {
            "name": "m",
            "task": "image-feature-extraction",
            "inputs": {"x": {"kind": "image", "size": {"height": 4, "width": 4}}},
            "outputs": {"y": {"decode": "embedding", **output}},
        }
    )
    return interpreter_for(manifest, "image-feature-extraction"), [ModelInput({}, 1)] * count


def test_a_picture_s_states_are_told_as_they_are_or_averaged():
    states = np.arange(2 * 3 * 2 * 2, dtype=np.float32).reshape(2, 3, 2, 2)
    built, inputs = pictures(2, pooling="none")
    assert built.interpret({"y": states}, inputs) == states.tolist()
    built, inputs = pictures(2, pooling="mean")
    assert built.interpret({"y": states}, inputs) == states.mean(axis=(2, 3)).tolist()
    built, inputs = pictures(2, pooling="cls")
    assert built.interpret({"y": VALUES}, inputs) == VALUES[:, 0].tolist()


def test_a_picture_s_vector_is_the_answer_where_there_is_one():
    built, inputs = pictures(2)
    assert built.interpret({"y": VALUES[:, 0]}, inputs) == VALUES[:, 0].tolist()

import numpy as np
import pytest

from streamer.errors import ConfigError, RecordError
from streamer.models import Manifest
from streamer.postprocess import interpreter_for
from streamer.records import ModelInput

MASKED = {"ids": "ids", "mask": "mask"}


def similarity(output, *, tensors=MASKED, **manifest):
    built = Manifest.model_validate(
        {
            "name": "m",
            "task": "sentence-similarity",
            "inputs": {"text": {"kind": "text", "tokenizer": "t", "tensors": tensors}},
            "outputs": {"y": output, "z": {"decode": "ignore"}},
            **manifest,
        }
    )
    return interpreter_for(built, "sentence-similarity")


def tokens(*masks):
    return [
        ModelInput(
            {"ids": np.arange(len(mask)), "mask": np.array(mask)}, len(mask), length=len(mask)
        )
        for mask in masks
    ]


VALUES = np.array([[[3, 0], [0, 3], [9, 0]], [[0, 2], [7, 4], [0, 6]]], np.float32)


def test_the_mean_leaves_out_what_is_masked_and_what_is_padding():
    pooled = similarity({"decode": "embedding", "pooling": "mean"})
    parts = pooled.interpret({"y": VALUES}, tokens([1, 1], [1, 0, 1]))
    np.testing.assert_allclose(parts[0], [0.5**0.5, 0.5**0.5], rtol=1e-6)
    np.testing.assert_allclose(parts[1], [0, 1])
    assert pooled.combine(parts)["score"] == pytest.approx(0.5**0.5)


def test_without_a_mask_the_ids_tell_how_long_a_text_is():
    pooled = similarity({"decode": "embedding", "pooling": "mean"}, tensors={"ids": "ids"})
    parts = pooled.interpret({"y": VALUES}, tokens([1, 1], [1, 1, 1]))
    np.testing.assert_allclose(parts[0], [0.5**0.5, 0.5**0.5], rtol=1e-6)


def test_the_first_token_alone_may_count():
    pooled = similarity({"decode": "embedding", "pooling": "cls"})
    parts = pooled.interpret({"y": VALUES}, tokens([1, 1], [1, 1, 1]))
    np.testing.assert_array_equal(np.stack(parts), [[1, 0], [0, 1]])
    assert pooled.combine(parts) == {"score": 0.0}


def test_vectors_that_are_pooled_already_are_compared_as_they_are():
    pooled = similarity({"decode": "embedding", "pooling": "none"})
    parts = pooled.interpret({"y": np.array([[1, 0], [-2, 0]], np.float32)}, tokens([1], [1]))
    assert pooled.combine(parts) == {"score": -1.0}


def test_a_vector_of_zeros_is_like_nothing():
    pooled = similarity({"decode": "embedding"})
    parts = pooled.interpret({"y": np.array([[0, 0], [1, 0]], np.float32)}, tokens([1], [1]))
    assert pooled.combine(parts) == {"score": 0.0}


def test_numbers_at_padding_do_not_matter_and_elsewhere_refuse_the_item():
    values = VALUES.copy()
    values[0, 2] = np.nan
    pooled = similarity({"decode": "embedding", "pooling": "mean"})
    assert not isinstance(pooled.interpret({"y": values}, tokens([1, 1], [1, 1, 1]))[0], Exception)
    values[1, 0] = np.inf
    good, bad = pooled.interpret({"y": values}, tokens([1, 1], [1, 1, 1]))
    assert isinstance(good, np.ndarray)
    assert isinstance(bad, RecordError)
    assert bad.reason == "non-finite"


@pytest.mark.parametrize(("function", "score"), [(None, 2.0), ("none", 2.0), ("sigmoid", 0.8808)])
@pytest.mark.parametrize("flat", [True, False])
def test_a_cross_encoder_s_number_is_the_score(function, score, flat):
    cross = similarity({"decode": "score"}, postprocess={"function_to_apply": function})
    values = np.array([[2.0], [np.nan]], np.float32)
    first, second = cross.interpret({"y": values[:, 0] if flat else values}, tokens([1], [1]))
    assert cross.combine([first]) == {"score": pytest.approx(score, abs=1e-4)}
    assert isinstance(second, RecordError)


def test_regression_logits_are_a_score():
    cross = similarity({"decode": "logits"}, problem_type="regression")
    assert cross.interpret({"y": np.array([[3.5]], np.float32)}, tokens([1])) == [{"score": 3.5}]


def test_other_outputs_are_refused():
    with pytest.raises(ConfigError, match=r"decode: embedding .* or decode: score"):
        similarity({"decode": "logits"})
    with pytest.raises(ConfigError, match="sigmoid or none"):
        similarity({"decode": "score"}, postprocess={"function_to_apply": "softmax"})

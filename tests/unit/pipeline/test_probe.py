"""Answers that depend on their batch are found out, said, and kept apart where asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.tiny import picture_model, text_model

from streamer.config.topology import Batch, ModelRef
from streamer.errors import ModelError
from streamer.models import load_version
from streamer.pipeline.loaded import ModelVersion


def loaded(folder: Path, **batch: Any) -> ModelVersion:
    version = load_version(str(folder), beside=folder.parent, models_dir=folder.parent)
    ref = ModelRef(uri=str(folder), device="cpu", sessions=1, threads=1, batch=Batch(**batch))
    return ModelVersion(version, ref)


def changed(folder: Path, change: Callable[[onnx.GraphProto], None]) -> Path:
    model = onnx.load(folder / "model.onnx")
    change(model.graph)
    onnx.save(model, folder / "model.onnx")
    return folder


def scaled_by_the_batch(graph: onnx.GraphProto) -> None:
    """Divide by the largest number of the whole batch, as scales found on the fly do."""
    graph.node[-1].output[0] = "own"
    graph.node.extend(
        [
            helper.make_node("Abs", ["own"], ["sizes"]),
            helper.make_node("ReduceMax", ["sizes"], ["largest"], keepdims=0),
            helper.make_node("Div", ["own", "largest"], ["logits"]),
        ]
    )


def reading_a_mask(folder: Path, *, heeded: bool) -> Path:
    """A classifier of texts that takes a mask, and sums up what it leaves, or all there is."""

    def masked(graph: onnx.GraphProto) -> None:
        graph.input.append(
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["N", "L"])
        )
        words = graph.initializer[0]
        weights = numpy_helper.to_array(words) + 1  # padding weighs something, too
        words.CopyFrom(numpy_helper.from_array(weights.astype(np.float32), words.name))
        if heeded:
            graph.node[-1].input[0] = "heeded"
            graph.node.insert(1, helper.make_node("Mul", ["rows", "wide"], ["heeded"]))
            graph.node.insert(1, helper.make_node("Unsqueeze", ["mask", "last"], ["wide"]))
            graph.node.insert(1, helper.make_node("Cast", ["attention_mask"], ["mask"], to=1))
            graph.initializer.append(numpy_helper.from_array(np.array([2]), "last"))
        graph.node[-1].CopyFrom(
            helper.make_node("ReduceSum", [graph.node[-1].input[0], "axis"], ["logits"], keepdims=0)
        )
        graph.initializer.append(numpy_helper.from_array(np.array([1]), "axis"))

    tensors = {"input_ids": "ids", "attention_mask": "mask"}
    text = {"kind": "text", "tokenizer": "tokenizer.json", "max_length": 32, "tensors": tensors}
    return changed(text_model(folder, inputs={"text": text}), masked)


def test_a_model_of_pictures_that_does_not_mix_them_is_exact(tmp_path):
    model = loaded(picture_model(tmp_path))
    assert (model.probe.alike, model.probe.padded) == (0.0, None)
    assert str(model.probe) == "batch_invariant: exact"
    assert model.cautions() == []
    model.close()


def test_texts_whose_padding_weighs_nothing_are_exact(tmp_path):
    model = loaded(reading_a_mask(tmp_path, heeded=True))
    assert (model.probe.alike, model.probe.padded) == (0.0, 0.0)
    assert model.probe.batch_invariant == "exact"
    model.close()


def test_padding_that_takes_part_is_found_and_its_size_said(tmp_path):
    model = loaded(reading_a_mask(tmp_path, heeded=False))
    assert model.probe.alike == 0.0
    assert model.probe.padded is not None
    assert model.probe.padded > 0.01
    assert str(model.probe).endswith("by padding only)")
    model.close()


def test_deterministic_puts_texts_with_those_of_their_length(tmp_path):
    model = loaded(reading_a_mask(tmp_path, heeded=False), deterministic=True)
    assert model.bounds.items > 1
    assert model.bounds.one_length
    assert model.cautions() == []
    model.close()


def test_texts_without_a_mask_meet_only_those_of_their_length(tmp_path):
    model = loaded(text_model(tmp_path))
    assert model.probe.batch_invariant == "exact"
    model.close()


def test_scales_of_the_whole_batch_are_found_and_their_size_said(tmp_path):
    model = loaded(changed(picture_model(tmp_path), scaled_by_the_batch))
    assert model.probe.alike is not None
    assert model.probe.alike > 0.001
    assert model.probe.batch_invariant == "no"
    [caution] = model.cautions()
    assert caution.startswith("answers depend on what else is in the batch, numbers by up to 0.0")
    assert "deterministic: true" in caution
    model.close()


def test_deterministic_runs_what_is_mixed_one_by_one(tmp_path):
    folder = changed(picture_model(tmp_path), scaled_by_the_batch)
    model = loaded(folder, deterministic=True)
    assert model.bounds.items == 1
    assert model.cautions() == []
    model.close()
    other = loaded(picture_model(tmp_path, "plain"), deterministic=True)
    assert other.bounds.items > 1  # nothing is lost where nothing is mixed
    other.close()


def test_nan_for_every_record_is_refused(tmp_path):
    def broken(graph: onnx.GraphProto) -> None:
        graph.node[-1].output[0] = "own"
        graph.node.append(helper.make_node("Mul", ["own", "nan"], ["logits"]))
        graph.node.insert(0, helper.make_node("Div", ["zero", "zero"], ["nan"]))
        graph.initializer.append(numpy_helper.from_array(np.zeros((), np.float32), "zero"))

    with pytest.raises(ModelError, match=r"outputs\.logits: is NaN for every made-up record"):
        loaded(changed(picture_model(tmp_path), broken))


def test_a_model_that_runs_one_by_one_does_not_depend_on_its_batch(tmp_path):
    def fixed(graph: onnx.GraphProto) -> None:
        graph.input[0].CopyFrom(
            helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, 16, 16])
        )
        scaled_by_the_batch(graph)

    model = loaded(changed(picture_model(tmp_path), fixed))
    assert model.bounds.items == 1
    assert model.probe.batch_invariant == "exact"
    model.close()

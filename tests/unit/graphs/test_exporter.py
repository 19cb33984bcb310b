"""How an export is compared with its network."""

import numpy as np
import pytest

from streamer.errors import ModelError
from streamer.graphs.exporter import _difference


class Tensor(np.ndarray):
    """An array with the two methods of Torch's that a comparison uses."""

    def float(self):
        return self

    def numpy(self):
        return np.asarray(self)


def objects(seed=0):
    chance = np.random.default_rng(seed)
    return {
        "logits": chance.normal(size=(2, 30, 4)).astype(np.float32),
        "pred_boxes": chance.uniform(size=(2, 30, 4)).astype(np.float32),
    }


def compared(right, found):
    return _difference(
        {name: value.view(Tensor) for name, value in right.items()}, list(found.values()), "batch 2"
    )


def test_objects_may_come_in_another_order():
    right = objects()
    order = np.random.default_rng(1).permutation(30)
    found = {name: value[:, order] + 1e-6 for name, value in right.items()}
    assert compared(right, found) < 1e-5


def test_an_object_whose_box_belongs_to_another_is_seen():
    right = objects()
    order = np.random.default_rng(1).permutation(30)
    found = {**right, "pred_boxes": right["pred_boxes"][:, order]}
    with pytest.raises(ModelError, match=r"batch 2: 'logits' is .* off"):
        compared(right, found)


def test_an_object_too_many_for_another_is_seen():
    right = objects()
    found = {name: value.copy() for name, value in right.items()}
    for value in found.values():
        value[1, 7] = value[1, 8]
    with pytest.raises(ModelError, match="off, more than"):
        compared(right, found)


def test_other_outputs_keep_their_order():
    right = {"logits": objects()["logits"]}
    with pytest.raises(ModelError, match="'logits' is"):
        compared(right, {"logits": right["logits"][:, ::-1]})
    assert compared(right, {"logits": right["logits"] + 1e-6}) < 1e-5

import pytest

from streamer.errors import ModelError
from streamer.models import Manifest
from streamer.models.successor import check_successor

TEXT = {"kind": "text", "tokenizer": "t.json", "tensors": {"ids": "ids"}}
PICTURE = {"kind": "image", "size": {"height": 8, "width": 8}}


def manifest(version, labels, task="text-classification", given=TEXT):
    return Manifest.model_validate(
        {
            "name": "mood",
            "version": version,
            "task": task,
            "id2label": labels,
            "inputs": {"x": given},
            "outputs": {"y": {"decode": "logits"}},
        }
    )


OLD = manifest("1", ["good", "bad"])


@pytest.mark.parametrize("labels", [["good", "bad"], ["good", "bad", "mixed"]])
def test_a_successor_may_add_labels(labels):
    check_successor(manifest("2", labels), OLD)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["bad", "good"], "wrong labels: label 0 of version 1, 'good', is 'bad' now in version 2"),
        (["good", "sad"], "label 1 of version 1, 'bad', is 'sad' now in version 2"),
        (["good"], "label 1 of version 1, 'bad', is gone in version 2"),
    ],
)
def test_a_successor_that_reorders_renames_or_drops_is_refused(labels, told):
    with pytest.raises(ModelError, match=told):
        check_successor(manifest("2", labels), OLD)


def test_the_way_back_may_lack_what_was_added_and_nothing_else():
    new = manifest("2", ["good", "bad", "mixed"])
    check_successor(OLD, new, back=True)
    with pytest.raises(ModelError, match="is gone in version 1"):
        check_successor(OLD, new)
    with pytest.raises(ModelError, match="is 'sad' now"):
        check_successor(manifest("1", ["sad"]), new, back=True)


def test_another_task_or_another_kind_of_input_is_refused():
    with pytest.raises(ModelError, match="is for 'image-classification', version 1 for"):
        check_successor(manifest("2", ["good", "bad"], "image-classification"), OLD)
    with pytest.raises(ModelError, match="version 2 takes image, version 1 text"):
        check_successor(manifest("2", ["good", "bad"], given=PICTURE), OLD)

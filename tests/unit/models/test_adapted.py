import pytest

from streamer.config.options import TaskOptions
from streamer.errors import ConfigError
from streamer.models import Manifest
from streamer.models.adapted import adapted


def manifest(task, kind="text"):
    given = {"kind": "text", "tokenizer": "t", "tensors": {"x": "ids"}}
    picture = {"kind": "image", "size": {"height": 4, "width": 4}}
    return Manifest.model_validate(
        {
            "name": "m",
            "task": task,
            "inputs": {"x": given if kind == "text" else picture},
            "outputs": {"y": {"decode": "logits"}},
            "postprocess": {"top_k": 3},
        }
    )


def test_what_a_topology_says_takes_the_place_of_the_manifests_own():
    zero_shot = TaskOptions(candidate_labels=("a", "b"), multi_label=True, pair=True)
    told = adapted(manifest("zero-shot-classification"), zero_shot)
    assert told.postprocess.candidate_labels == ("a", "b")
    assert told.postprocess.multi_label
    assert told.postprocess.top_k == 3
    assert told.inputs["x"].pair
    languages = TaskOptions(src_lang="en", tgt_lang="de", prefix="x ", max_new_tokens=7)
    told = adapted(manifest("translation"), languages)
    assert (told.inputs["x"].src_lang, told.inputs["x"].prefix) == ("en", "x ")
    assert (told.generation.tgt_lang, told.generation.max_new_tokens) == ("de", 7)
    assert (
        adapted(manifest("feature-extraction"), TaskOptions(normalize=True)).outputs["y"].normalize
    )


def test_nothing_said_is_nothing_changed():
    own = manifest("translation")
    assert adapted(own, TaskOptions()) is own


def test_what_is_for_another_task_or_another_kind_of_model_is_refused():
    with pytest.raises(ConfigError, match="candidate_labels: is for zero-shot-classification"):
        adapted(manifest("translation"), TaskOptions(candidate_labels=("a",)))
    with pytest.raises(ConfigError, match="prefix: the model takes no texts"):
        adapted(manifest("image-to-text", "image"), TaskOptions(prefix="a"))

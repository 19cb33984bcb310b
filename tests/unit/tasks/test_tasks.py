import pytest

from streamer.errors import ConfigError
from streamer.tasks import TASKS, task_named


def test_each_task_says_what_it_takes_and_gives():
    assert {name: sorted(task.kinds) for name, task in TASKS.items()} == {
        "image-classification": ["image"],
        "object-detection": ["image"],
        "text-classification": ["pair", "text"],
        "sentence-similarity": ["pair"],
        "token-classification": ["text"],
        "zero-shot-classification": ["text"],
        "feature-extraction": ["text"],
        "image-feature-extraction": ["image"],
        "translation": ["text"],
        "text2text-generation": ["text"],
        "summarization": ["text"],
        "image-to-text": ["image"],
    }
    assert [task.name for task in TASKS.values() if task.yields_crops] == ["object-detection"]
    box = TASKS["object-detection"].output_schema["items"]["properties"]["box"]
    assert box["required"] == ["xmin", "ymin", "xmax", "ymax"]
    assert TASKS["sentence-similarity"].output_schema["required"] == ["score"]


def test_a_misspelt_task_is_told_the_right_one():
    assert task_named("object-detection").name == "object-detection"
    with pytest.raises(ConfigError, match="no task 'object-detect'; did you mean 'object-detect"):
        task_named("object-detect")
    with pytest.raises(ConfigError, match="no task 'x'; known are image-classification, "):
        task_named("x")

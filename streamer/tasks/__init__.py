"""What streamer can do with a record: tasks, by the names Hugging Face gives them.

A task fixes which samples it takes and what its answers look like. How a model's tensors become
such an answer is the business of `postprocess`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from streamer import plugins
from streamer.config.files import suggestion
from streamer.errors import ConfigError

Kind = Literal["image", "text", "pair"]

_LABEL = {"type": "string"}
_SCORE = {"type": "number"}
_PIXEL = {"type": "integer", "minimum": 0}


@dataclass(frozen=True)
class Task:
    """A task.

    Attributes:
        kinds: samples that it answers.
        output_schema: JSON Schema of `output` in a prediction.
        yields_crops: whether another step may work on the boxes it finds.
        served_by: tasks whose models can do it, too.
        writes: whether the model writes a text, token by token.
    """

    name: str
    kinds: frozenset[Kind]
    output_schema: dict[str, Any]
    yields_crops: bool = False
    served_by: frozenset[str] = frozenset()
    writes: bool = False


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _array(items: dict[str, Any], description: str) -> dict[str, Any]:
    return {"type": "array", "items": items, "description": description}


_SCORED = _object(label=_LABEL, score=_SCORE)
_GROUPS = _array(_SCORED, "groups of the label, the nearest first; where labels have parents")
_LABELS = _array(
    {**_SCORED, "properties": {**_SCORED["properties"], "parents": _GROUPS}},
    "labels, best first",
)
_BOX = _object(xmin=_PIXEL, ymin=_PIXEL, xmax=_PIXEL, ymax=_PIXEL)
_OBJECT = _object(
    label=_LABEL,
    score=_SCORE,
    box={**_BOX, "description": "pixels of the upright original picture"},
)
_POINTS = _array(
    _object(x={"type": "integer"}, y={"type": "integer"}),
    "points of the object, where the model gives such; in the order of the model",
)
_OBJECTS = _array(
    {**_OBJECT, "properties": {**_OBJECT["properties"], "landmarks": _POINTS}},
    "objects found, best first",
)

_PLACE = {"type": "integer", "minimum": 0}
_ENTITIES = _array(
    {
        "type": "object",
        "properties": {
            "entity_group": {**_LABEL, "description": "label, without B- and I-"},
            "entity": {**_LABEL, "description": "label of a token, where none are put together"},
            "index": {**_PLACE, "description": "the token's place, with `entity`"},
            "score": _SCORE,
            "word": {"type": "string", "description": "as the tokenizer writes it"},
            "start": {**_PLACE, "description": "character of the text where it begins"},
            "end": {**_PLACE, "description": "character behind it"},
        },
        "required": ["score", "word", "start", "end"],
        "additionalProperties": False,
    },
    "entities, in the order of the text",
)
_RANKED = _object(
    labels=_array(_LABEL, "candidate labels, best first"),
    scores=_array(_SCORE, "their scores"),
)
_VECTOR = _array(_SCORE, "a vector")
_FEATURES = {
    "anyOf": [_VECTOR, _array(_VECTOR, "one a token")],
    "description": "the text's vector, or one for each token where they are not pooled",
}


_PICTURE_FEATURES = {
    "anyOf": [
        _VECTOR,
        _array(_VECTOR, "one a patch"),
        _array(_array(_VECTOR, "a row of places"), "one plane a channel"),
    ],
    "description": "the picture's vector, or the model's states where they are not pooled",
}


def _written(key: str) -> dict[str, Any]:
    return _array(_object(**{key: {"type": "string"}}), "one text")


_TEXT: frozenset[Kind] = frozenset({"text"})
_SEQ2SEQ = frozenset({"translation", "text2text-generation", "summarization"})
_ALL = (
    Task("image-classification", frozenset({"image"}), _LABELS),
    Task("object-detection", frozenset({"image"}), _OBJECTS, yields_crops=True),
    Task("text-classification", frozenset({"text", "pair"}), _LABELS),
    Task(
        "sentence-similarity",
        frozenset({"pair"}),
        {**_object(score=_SCORE), "description": "how alike the two sentences are"},
    ),
    Task("token-classification", _TEXT, _ENTITIES),
    Task(
        "zero-shot-classification",
        _TEXT,
        _RANKED,
        served_by=frozenset({"text-classification"}),
    ),
    Task("feature-extraction", _TEXT, _FEATURES, served_by=frozenset({"sentence-similarity"})),
    Task("image-feature-extraction", frozenset({"image"}), _PICTURE_FEATURES),
    Task("translation", _TEXT, _written("translation_text"), served_by=_SEQ2SEQ, writes=True),
    Task(
        "text2text-generation", _TEXT, _written("generated_text"), served_by=_SEQ2SEQ, writes=True
    ),
    Task("summarization", _TEXT, _written("summary_text"), served_by=_SEQ2SEQ, writes=True),
    Task("image-to-text", frozenset({"image"}), _written("generated_text"), writes=True),
)
TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for task in _ALL})
WRITING = frozenset(task.name for task in _ALL if task.writes)
"""Tasks whose models write texts."""


def task_named(name: str) -> Task:
    """Find a task by its name, among the built-in ones, then among plug-ins.

    Raises:
        ConfigError: there is none; says which is meant, or which there are.
    """
    task = TASKS.get(name)
    if task is not None:
        return task
    plugin = plugins.plugged(plugins.TASKS, name)
    if plugin is None:
        known = [*TASKS, *plugins.known(plugins.TASKS)]
        raise ConfigError(f"there is no task '{name}'{suggestion(name, known)}")
    described = plugin.describe()
    if not isinstance(described, Task) or described.name != name:
        raise ConfigError(
            f"the plug-in '{name}' must describe() a streamer.tasks.Task of that name; it gave "
            f"{described!r:.80}"
        )
    return described


__all__ = ["TASKS", "WRITING", "Kind", "Task", "task_named"]

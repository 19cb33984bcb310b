"""A model's manifest with what a topology says of its task."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from streamer.config.options import TaskOptions
from streamer.errors import ConfigError
from streamer.models.manifest import Manifest, TextInput

_INPUT = ("pair", "prefix", "src_lang")
_POSTPROCESS = (
    "candidate_labels",
    "hypothesis_template",
    "multi_label",
    "aggregation_strategy",
)
_GENERATION = ("tgt_lang", "max_new_tokens")
_OF_TASK: Mapping[str, str] = MappingProxyType(
    {
        "candidate_labels": "zero-shot-classification",
        "hypothesis_template": "zero-shot-classification",
        "multi_label": "zero-shot-classification",
        "aggregation_strategy": "token-classification",
    }
)


def adapted(manifest: Manifest, options: TaskOptions) -> Manifest:
    """Put a topology's choices in the place of the manifest's own.

    Raises:
        ConfigError: one of them is for another task, or for a model that reads texts.
    """
    told = {
        name: value
        for name in TaskOptions.model_fields
        if (value := getattr(options, name)) is not None
    }
    if not told:
        return manifest
    for name in told:
        wanted = _OF_TASK.get(name, manifest.task)
        if manifest.task != wanted:
            raise ConfigError(f"{name}: is for {wanted}; the task is {manifest.task}")
    sections: dict[str, Any] = {
        "postprocess": manifest.postprocess.model_copy(update=_some(told, _POSTPROCESS)),
        "generation": manifest.generation.model_copy(update=_some(told, _GENERATION)),
    }
    given = _some(told, _INPUT)
    if given:
        sections["inputs"] = _with_texts(manifest, given)
    if "normalize" in told:
        sections["outputs"] = {
            name: output.model_copy(update=_some(told, ("normalize",)))
            for name, output in manifest.outputs.items()
        }
    return manifest.model_copy(update=sections)


def _some(told: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: told[name] for name in names if name in told}


def _with_texts(manifest: Manifest, given: Mapping[str, Any]) -> dict[str, Any]:
    texts = [name for name, spec in manifest.inputs.items() if isinstance(spec, TextInput)]
    if not texts:
        raise ConfigError(f"{', '.join(given)}: the model takes no texts")
    return {
        name: spec.model_copy(update=dict(given)) if isinstance(spec, TextInput) else spec
        for name, spec in manifest.inputs.items()
    }

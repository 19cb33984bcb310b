"""Tasks and decodings of plug-ins at the place of the built-in ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from streamer import plugins
from streamer.errors import ConfigError, ModelError, RecordError
from streamer.models import Manifest
from streamer.models.manifest import Output
from streamer.postprocess.arrays import Interpreter, OnePart
from streamer.records import ModelInput


class PluggedTask(OnePart):
    """Answers as a plug-in makes them."""

    def __init__(self, plugin: plugins.TaskPlugin, manifest: Manifest) -> None:
        self._plugin = plugin
        self._manifest = manifest

    def interpret(
        self, outputs: Mapping[str, Any], inputs: Sequence[ModelInput]
    ) -> list[Any | RecordError]:
        """Give what the plug-in answers; see `Interpreter.interpret`."""
        answers = list(self._plugin.answer(outputs, inputs, self._manifest))
        if len(answers) != len(inputs):
            raise ModelError(
                f"the plug-in of '{self._manifest.task}' gave {len(answers)} answers for "
                f"{len(inputs)} items"
            )
        return answers


@dataclass(frozen=True)
class _Decoding:
    """One plug-in's decoding, and the outputs that it is for."""

    plugin: plugins.DecoderPlugin
    tensors: tuple[str, ...]
    options: Mapping[str, Any]


class PluggedDecoding:
    """An interpreter behind decodings of plug-ins."""

    def __init__(self, inner: Interpreter, decodings: Sequence[_Decoding]) -> None:
        self._inner = inner
        self._decodings = decodings

    def interpret(
        self, outputs: Mapping[str, Any], inputs: Sequence[ModelInput]
    ) -> list[Any | RecordError]:
        """Decode, then interpret what came of it; see `Interpreter.interpret`."""
        made = dict(outputs)
        for decoding in self._decodings:
            arrays = {name: np.asarray(outputs[name]) for name in decoding.tensors}
            made |= decoding.plugin.decode(arrays, inputs, decoding.options)
        return self._inner.interpret(made, inputs)

    def combine(self, parts: Sequence[Any]) -> Any:
        """Make the task's output of the results of one record's parts."""
        return self._inner.combine(parts)


def decodings(manifest: Manifest) -> tuple[Manifest, list[_Decoding]]:
    """Find the outputs that plug-ins decode.

    Returns:
        The manifest with what they make in the place of these outputs, and the decodings.

    Raises:
        ConfigError: a plug-in cannot be used, or describes no outputs.
    """
    by_name: dict[str, list[str]] = {}
    for tensor, output in manifest.outputs.items():
        if output.plugged:
            by_name.setdefault(output.decode, []).append(tensor)
    if not by_name:
        return manifest, []
    outputs = {
        tensor: output
        for tensor, output in manifest.outputs.items()
        if output.decode not in by_name
    }
    found = []
    for name, tensors in by_name.items():
        plugin = plugins.plugged(plugins.DECODERS, name)
        assert plugin is not None  # noqa: S101 - the manifest was read with it
        options = {
            key: value
            for tensor in tensors
            for key, value in manifest.outputs[tensor].options.items()
        }
        outputs |= _described(name, plugin.outputs(options))
        found.append(_Decoding(plugin, tuple(tensors), options))
    return manifest.model_copy(update={"outputs": outputs}), found


def _described(name: str, outputs: Mapping[str, Mapping[str, Any]]) -> dict[str, Output]:
    try:
        return {tensor: Output.model_validate(output) for tensor, output in outputs.items()}
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise ConfigError(
            f"the plug-in '{name}' describes outputs that model.yaml could not hold: "
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
        ) from error

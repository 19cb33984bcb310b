"""Tasks and decoders of other packages, found by their entry points.

A package announces a plug-in in the groups `streamer.tasks` or `streamer.decoders`; what the entry
point names is an object, usually a module, with two functions. It is imported when a model or a
topology names it, not before.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

from numpy.typing import NDArray

from streamer.errors import ConfigError
from streamer.records import ModelInput

TASKS = "streamer.tasks"
DECODERS = "streamer.decoders"
_FUNCTIONS = {TASKS: ("describe", "answer"), DECODERS: ("outputs", "decode")}


class TaskPlugin(Protocol):
    """A task of its own: what it takes and gives, and how outputs become answers."""

    def describe(self) -> Any:
        """Give the `streamer.tasks.Task`, under the entry point's name."""
        ...

    def answer(
        self, outputs: Mapping[str, Any], inputs: Sequence[ModelInput], manifest: Any
    ) -> Sequence[Any]:
        """Give one answer for each item of a batch, in order.

        Args:
            outputs: by the names in `model.yaml`; the batch is the first axis of each.
            inputs: the batch's items; a picture's `context` is its `Geometry`.
            manifest: the model's `model.yaml`.
        """
        ...


class DecoderPlugin(Protocol):
    """A decoding of its own: makes arrays that a built-in decoding reads of a model's outputs."""

    def outputs(self, options: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
        """Describe what `decode` makes, as under `outputs` in `model.yaml`."""
        ...

    def decode(
        self,
        arrays: Mapping[str, NDArray[Any]],
        inputs: Sequence[ModelInput],
        options: Mapping[str, Any],
    ) -> Mapping[str, NDArray[Any]]:
        """Make the arrays that `outputs` describes; the batch is the first axis of each.

        Args:
            arrays: the outputs of the model that name this decoding.
            inputs: the batch's items; a picture's `context` is its `Geometry`.
            options: what stands under `options` in `model.yaml`.
        """
        ...


def known(group: str) -> list[str]:
    """Name the plug-ins of a group."""
    return sorted({entry.name for entry in entry_points(group=group)})


def plugged(group: str, name: str) -> Any | None:
    """Import a plug-in; None if no package brings one of that name.

    Raises:
        ConfigError: it cannot be imported, lacks a function, or two packages bring it.
    """
    found = list(entry_points(group=group, name=name))
    if not found:
        return None
    if len({entry.value for entry in found}) > 1:
        told = " and ".join(_told(entry) for entry in found)
        raise ConfigError(f"'{name}' of {group} comes from {told}; uninstall one of them")
    entry = found[0]
    try:
        loaded = entry.load()
    except Exception as error:
        kind = type(error).__name__
        raise ConfigError(
            f"the plug-in '{name}' ({_told(entry)}) cannot be imported: {kind}: {error}"
        ) from error
    missing = [each for each in _FUNCTIONS[group] if not callable(getattr(loaded, each, None))]
    if missing:
        raise ConfigError(
            f"the plug-in '{name}' ({_told(entry)}) lacks the function {' and '.join(missing)}"
        )
    return loaded


def _told(entry: EntryPoint) -> str:
    package = f", of {entry.dist.name} {entry.dist.version}" if entry.dist else ""
    return f"{entry.value}{package}"

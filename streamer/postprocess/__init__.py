"""Outputs of models to answers: labels, boxes, similarities."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from streamer import plugins
from streamer.models import Manifest
from streamer.postprocess.arrays import Interpreter
from streamer.postprocess.boxes import Boxes, Found
from streamer.postprocess.classes import Classes
from streamer.postprocess.features import Features
from streamer.postprocess.plugged import PluggedDecoding, PluggedTask, decodings
from streamer.postprocess.similarity import similarity
from streamer.postprocess.tags import Tags
from streamer.postprocess.written import Written
from streamer.postprocess.zero_shot import ZeroShot
from streamer.tasks import TASKS, WRITING, task_named

_OF_VECTORS: Mapping[str, Callable[[Manifest], Interpreter]] = MappingProxyType(
    {
        "sentence-similarity": similarity,
        "feature-extraction": Features,
        "image-feature-extraction": Features,
    }
)


def interpreter_for(
    manifest: Manifest,
    task: str,
    *,
    folder: Path | None = None,
    threshold: float | None = None,
    top_k: int | None = None,
) -> Interpreter:
    """Make what turns a model's outputs into a task's answers.

    Args:
        manifest: how the outputs are to be read.
        task: a name in `streamer.tasks`.
        folder: where the model's files lie; needed for what its tokens mean.
        threshold: lowest score that is answered; the manifest's own if None.
        top_k: labels or objects at the most; the manifest's own if None.

    Raises:
        ConfigError: there is no such task, or the outputs are not what it needs.
    """
    name = task_named(task).name
    plugin = None if name in TASKS else plugins.plugged(plugins.TASKS, name)
    if plugin is not None:
        return PluggedTask(plugin, manifest)
    manifest, plugged = decodings(manifest)
    built = _built_in(manifest, name, folder, threshold, top_k)
    return PluggedDecoding(built, plugged) if plugged else built


def _built_in(
    manifest: Manifest,
    name: str,
    folder: Path | None,
    threshold: float | None,
    top_k: int | None,
) -> Interpreter:
    if name == "object-detection":
        return Boxes(manifest, threshold=threshold, top_k=top_k)
    if name == "zero-shot-classification":
        return ZeroShot(manifest, threshold=threshold, top_k=top_k)
    if name == "token-classification":
        return Tags(manifest, folder, threshold=threshold)
    if name in WRITING:
        return Written(manifest, folder)
    if name in _OF_VECTORS:
        return _OF_VECTORS[name](manifest)
    return Classes(manifest, threshold=threshold, top_k=top_k)


__all__ = ["Found", "Interpreter", "interpreter_for"]

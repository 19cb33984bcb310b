"""Outputs of models to answers: labels, boxes, similarities."""

from streamer import plugins
from streamer.models import Manifest
from streamer.postprocess.arrays import Interpreter
from streamer.postprocess.boxes import Boxes, Found
from streamer.postprocess.classes import Classes
from streamer.postprocess.plugged import PluggedDecoding, PluggedTask, decodings
from streamer.postprocess.similarity import similarity
from streamer.tasks import TASKS, task_named


def interpreter_for(
    manifest: Manifest, task: str, *, threshold: float | None = None, top_k: int | None = None
) -> Interpreter:
    """Make what turns a model's outputs into a task's answers.

    Args:
        manifest: how the outputs are to be read.
        task: a name in `streamer.tasks`.
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
    built = _built_in(manifest, name, threshold, top_k)
    return PluggedDecoding(built, plugged) if plugged else built


def _built_in(
    manifest: Manifest, name: str, threshold: float | None, top_k: int | None
) -> Interpreter:
    if name == "object-detection":
        return Boxes(manifest, threshold=threshold, top_k=top_k)
    if name == "sentence-similarity":
        return similarity(manifest)
    return Classes(manifest, threshold=threshold, top_k=top_k)


__all__ = ["Found", "Interpreter", "interpreter_for"]

"""From the folder's task to the reader of its files."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from streamer.models.graph import Graph
from streamer.models.guess import complete
from streamer.models.huggingface.network import network
from streamer.models.huggingface.pictures import (
    image_classifier,
    image_features,
    object_detector,
)
from streamer.models.huggingface.source import Source
from streamer.models.huggingface.texts import text_model
from streamer.models.huggingface.timm import is_timm, timm_labels
from streamer.models.huggingface.writers import writer_of_captions, writer_of_texts
from streamer.models.manifest import Manifest

# By the ending of the class in `architectures`.
_TASKS = {
    "ForImageClassification": "image-classification",
    "ForImageClassificationWithTeacher": "image-classification",
    "ForObjectDetection": "object-detection",
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "MarianMTModel": "translation",
    "M2M100ForConditionalGeneration": "translation",
    "MBartForConditionalGeneration": "translation",
    "PegasusForConditionalGeneration": "summarization",
    "BlipForConditionalGeneration": "image-to-text",
    "GitForCausalLM": "image-to-text",
    "VisionEncoderDecoderModel": "image-to-text",
    "T5ForConditionalGeneration": "text2text-generation",
    "BartForConditionalGeneration": "text2text-generation",
    "LEDForConditionalGeneration": "text2text-generation",
}
_READERS: Mapping[str, Callable[[Source], dict[str, Any]]] = MappingProxyType(
    {
        "image-classification": image_classifier,
        "image-feature-extraction": image_features,
        "object-detection": object_detector,
        "text-classification": text_model,
        "sentence-similarity": text_model,
        "zero-shot-classification": text_model,
        "token-classification": text_model,
        "feature-extraction": text_model,
        "translation": writer_of_texts,
        "summarization": writer_of_texts,
        "text2text-generation": writer_of_texts,
        "image-to-text": writer_of_captions,
    }
)


def from_huggingface(folder: Path, file: Path, graph: Graph, task: str | None) -> Manifest:
    """Make the manifest of a Hugging Face folder.

    Raises:
        ModelError: something is missing in it; says what, and gives the `model.yaml` to complete.
    """
    source = Source(folder, file, graph)
    task = task or _task(source.config)
    if task is None:
        raise source.asking("which task it is for: write 'task:' in the topology, or --task")
    if not graph.outputs:
        graph = network(source.config, task)
    source = replace(source, graph=graph, task=task)
    reader = _READERS.get(task)
    if reader is None:
        raise source.asking(f"how its outputs are read for {task}")
    common: dict[str, Any] = {"task": task}
    if source.config.get("problem_type"):
        common["problem_type"] = source.config["problem_type"]
    if task.endswith(("classification", "detection")):
        common["id2label"] = _labels(source.config)
    return complete(common | reader(source), file)


def _task(config: dict[str, Any]) -> str | None:
    if is_timm(config):
        return "image-classification" if config.get("num_classes") else None
    for architecture in config.get("architectures") or ():
        for ending, task in _TASKS.items():
            if str(architecture).endswith(ending):
                return task
    return None


def _labels(config: dict[str, Any]) -> dict[int, str]:
    if is_timm(config):
        return timm_labels(config)
    labels = config.get("id2label") or {}
    pairs = enumerate(labels) if isinstance(labels, list) else labels.items()
    return {int(index): str(label) for index, label in pairs}

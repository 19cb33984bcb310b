"""The task `grading`: the mean of the grades that a model gives, and how sure it is of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from streamer.models import Manifest
from streamer.records import ModelInput
from streamer.tasks import Task


def describe() -> Task:
    """Say what the task takes and gives."""
    number = {"type": "number"}
    return Task(
        name="grading",
        kinds=frozenset({"image", "text"}),
        output_schema={
            "type": "object",
            "properties": {"grade": number, "deviation": number},
            "required": ["grade", "deviation"],
            "additionalProperties": False,
            "description": "mean and standard deviation of the grades",
        },
    )


def answer(
    outputs: Mapping[str, Any], inputs: Sequence[ModelInput], manifest: Manifest
) -> list[dict[str, float]]:
    """Give each item's grade: outputs are [N, grades], the probability of each."""
    (probabilities,) = (np.asarray(outputs[name]) for name in manifest.outputs)
    grades = np.array([float(label) for label in manifest.id2label.values()])
    means = probabilities @ grades
    deviations = np.sqrt((probabilities * (grades - means[:, None]) ** 2).sum(axis=1))
    return [
        {"grade": float(mean), "deviation": float(deviation)}
        for mean, deviation in zip(means, deviations, strict=True)
    ]

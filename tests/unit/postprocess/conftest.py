import numpy as np
import pytest

from streamer.models import Manifest
from streamer.postprocess import interpreter_for
from streamer.records import Geometry, ModelInput

LABELS = ("cat", "dog", "cow")


@pytest.fixture
def objects():
    """Interprets a detector's outputs for pictures of the input's size: label, score, box."""

    def interpret(  # noqa: PLR0917 - what a detector is made of
        outputs,
        values,
        size=(64, 64),
        labels=LABELS,
        threshold=0.5,
        geometry=None,
        postprocess=None,
        items=None,
    ):
        manifest = Manifest.model_validate(
            {
                "name": "m",
                "task": "object-detection",
                "id2label": list(labels),
                "inputs": {"x": {"kind": "image", "size": {"height": size[0], "width": size[1]}}},
                "outputs": outputs,
                "postprocess": postprocess or {},
            }
        )
        plain = geometry or Geometry(size, size, 1.0, 1.0, 0.0, 0.0)
        count = items or len(next(iter(values.values())))
        built = interpreter_for(manifest, "object-detection", threshold=threshold)
        values = {name: np.asarray(value) for name, value in values.items()}
        return built.interpret(values, [ModelInput({}, 1, context=plain)] * count)

    return interpret


@pytest.fixture
def told(objects):
    """The same, as tuples."""

    def interpret(*arguments, **settings):
        return [
            [(o["label"], round(o["score"], 3), tuple(o["box"].values())) for o in row]
            for row in objects(*arguments, **settings)
        ]

    return interpret

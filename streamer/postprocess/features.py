"""Feature extraction: a model's vectors as the answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from streamer.errors import ConfigError, RecordError
from streamer.models.manifest import Manifest
from streamer.postprocess.arrays import OnePart, finite_rows, non_finite
from streamer.postprocess.pooling import Pooling
from streamer.records import ModelInput


class Features(OnePart):
    """The vector of each item; with `pooling: none` one for each of its tokens."""

    def __init__(self, manifest: Manifest) -> None:
        read = [name for name, output in manifest.outputs.items() if output.decode == "embedding"]
        if len(read) != 1:
            raise ConfigError(
                f"model '{manifest.name}': {manifest.task} needs one output with decode: embedding "
                "and pooling: mean, cls or none"
            )
        self._pooling = Pooling(manifest, read[0])
        self._pooled = manifest.outputs[read[0]].pooling in ("mean", "cls")

    def interpret(
        self, outputs: Mapping[str, Any], inputs: Sequence[ModelInput]
    ) -> list[Any | RecordError]:
        """Give each item's numbers; see `Interpreter.interpret`."""
        name = self._pooling.name
        if self._pooled:
            vectors, finite = self._pooling.vectors(outputs, inputs)
            return [
                vector if good else non_finite(name)
                for vector, good in zip(vectors.tolist(), finite.tolist(), strict=True)
            ]
        return [
            rows.tolist() if finite_rows(rows[None]).all() else non_finite(name)
            for rows in self._pooling.each(outputs, inputs)
        ]

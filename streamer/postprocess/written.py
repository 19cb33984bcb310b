"""What a model wrote, token by token, as text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamer.errors import ConfigError, RecordError
from streamer.models.manifest import Manifest
from streamer.postprocess.arrays import OnePart, rows_checked
from streamer.postprocess.tokenizer import reader_for
from streamer.records import ModelInput

_KEYS = {"translation": "translation_text", "summarization": "summary_text"}


class Written(OnePart):
    """One text a record, in the shape of the task."""

    def __init__(self, manifest: Manifest, folder: Path | None) -> None:
        read = [name for name, output in manifest.outputs.items() if output.decode == "tokens"]
        if len(read) != 1:
            raise ConfigError(
                f"model '{manifest.name}': {manifest.task} needs one output with decode: tokens"
            )
        (self._name,) = read
        self._key = _KEYS.get(manifest.task, "generated_text")
        self._reader = reader_for(manifest, folder)

    def interpret(
        self, outputs: Mapping[str, Any], inputs: Sequence[ModelInput]
    ) -> list[Any | RecordError]:
        """Give each item's text; see `Interpreter.interpret`."""
        rows = rows_checked(np.asarray(outputs[self._name]), self._name, len(inputs))
        return [[{self._key: self._reader.text(row)}] for row in rows.tolist()]

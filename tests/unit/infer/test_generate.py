from pathlib import Path

import pytest

from streamer.errors import ModelError
from streamer.infer import open_session
from streamer.models import Manifest, Version


def test_a_model_that_writes_is_not_run_over_onnx():
    manifest = Manifest.model_validate(
        {
            "name": "m",
            "task": "translation",
            "inputs": {"text": {"kind": "text", "tokenizer": "t", "tensors": {"x": "ids"}}},
            "outputs": {"sequences": {"decode": "tokens"}},
        }
    )
    version = Version(Path("m"), manifest, Path("m/model.onnx"))
    with pytest.raises(ModelError, match="translation runs over Torch only: give the model's"):
        open_session(version)

"""`tokenizer_config.json`: what a tokenizer's file leaves to the file beside it."""

import json
from pathlib import Path
from typing import Any

from streamer.errors import ModelError

_NAME = "tokenizer_config.json"


def tokenizer_config(tokenizer: Path) -> dict[str, Any]:
    """Read what stands beside a tokenizer's file; nothing if there is no such file.

    Raises:
        ModelError: it is no JSON.
    """
    path = tokenizer.with_name(_NAME)
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: is no JSON: {error}") from error
    return content if isinstance(content, dict) else {}

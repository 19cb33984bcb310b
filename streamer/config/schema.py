"""JSON Schemas of files, with defaults written the way files have them."""

from typing import Any

from pydantic import BaseModel

from streamer.config.units import written_duration, written_size


def file_schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    """Give the JSON Schema (2020-12) of a file that is read into a section."""
    schema = model.model_json_schema(by_alias=True)
    readable = _with_units(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **readable,
        "title": title,
    }


def _with_units(node: Any) -> Any:
    """Write the defaults of durations and sizes with their unit, everywhere in a schema."""
    if isinstance(node, list):
        return [_with_units(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _with_units(value) for key, value in node.items()}
    default = kept.get("default")
    if isinstance(default, dict) and "$ref" in kept:
        del kept["default"]  # a section's own keys tell their defaults
    elif default is not None and kept.get("format") == "duration-with-unit":
        kept["default"] = written_duration(default)
    elif default is not None and kept.get("format") == "size-with-unit":
        kept["default"] = written_size(default)
    return kept

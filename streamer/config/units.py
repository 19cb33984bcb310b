"""Durations, sizes and shares as people write them in files: `5ms`, `64MiB`, `5%`."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_NUMBER_AND_UNIT = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")


def _with_unit(value: Any, units: dict[str, float] | dict[str, int], example: str) -> float:
    if isinstance(value, str):
        match = _NUMBER_AND_UNIT.fullmatch(value.strip())
        if match and match[2] in units:
            return float(match[1]) * units[match[2]]
    if value in (0, "0"):
        return 0.0
    message = f"write a number with its unit ({', '.join(units)}), as in {example}; got {value!r}"
    raise ValueError(message)


def parse_duration(value: Any) -> float:
    """Turn `5ms` into 0.005 seconds; a float is taken as seconds (defaults in code)."""
    return value if isinstance(value, float) else _with_unit(value, _SECONDS, "5ms")


def parse_size(value: Any) -> int:
    """Turn `64MiB` into bytes; a positive int is taken as bytes (defaults in code)."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    return int(_with_unit(value, _BYTES, "64MiB"))


def parse_share(value: Any) -> float:
    """Turn `5%` or `0.05` into 0.05, within 0..1."""
    if isinstance(value, str) and value.strip().endswith("%"):
        share = float(value.strip()[:-1]) / 100
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        share = float(value)
    else:
        message = f"write a share as 5% or 0.05; got {value!r}"
        raise ValueError(message)
    if not 0 <= share <= 1:
        message = f"a share lies between 0% and 100%; got {value!r}"
        raise ValueError(message)
    return share


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "examples": ["5ms", "30s", "1h"]}),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["64MiB", "1GB"]}),
]
Share = Annotated[
    float,
    BeforeValidator(parse_share),
    WithJsonSchema({"type": ["string", "number"], "examples": ["5%", 0.05]}),
]

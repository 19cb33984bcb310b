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
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_NUMBER_AND_UNIT = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")


class PlainNumber(float):
    """A number with a decimal point as it stands in a file: nobody has said its unit."""


def _with_unit(value: Any, units: dict[str, float] | dict[str, int], example: str) -> float:
    if isinstance(value, str):
        match = _NUMBER_AND_UNIT.fullmatch(value.strip())
        if match and match[2] in units:
            return float(match[1]) * units[match[2]]
    if value in (0, "0") and not isinstance(value, bool):
        return 0.0
    message = f"write a number with its unit ({', '.join(units)}), as in {example}; got {value!r}"
    raise ValueError(message)


def parse_duration(value: Any) -> float:
    """Turn `5ms` into 0.005 seconds; a float is taken as seconds (defaults in code)."""
    if isinstance(value, float) and not isinstance(value, PlainNumber):
        return value
    return _with_unit(value, _SECONDS, "5ms")


def parse_size(value: Any) -> int:
    """Turn `64MiB` into bytes; a whole number is taken as bytes."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    return int(_with_unit(value, _BYTES, "64MiB"))


def parse_share(value: Any) -> float:
    """Turn `5%` or `0.05` into 0.05, within 0..1."""
    text = value.strip() if isinstance(value, str) else value
    try:
        if isinstance(text, str):
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        elif isinstance(text, (int, float)) and not isinstance(text, bool):
            share = float(text)
        else:
            raise ValueError  # noqa: TRY301 - one message for all that is no number
    except ValueError:
        message = f"write a share as 5% or 0.05; got {value!r}"
        raise ValueError(message) from None
    if not 0 <= share <= 1:
        message = f"a share lies between 0% and 100%; got {value!r}"
        raise ValueError(message)
    return share


def written_duration(seconds: float) -> str:
    """Write seconds the way files have them: the largest unit that needs no fraction."""
    for unit, factor in sorted(_SECONDS.items(), key=lambda pair: -pair[1]):
        count = seconds / factor
        if count >= 1 and abs(count - round(count)) < 1e-9:  # noqa: PLR2004 - float noise
            return f"{round(count)}{unit}"
    return "0" if seconds == 0 else f"{seconds}s"


def written_size(size_bytes: int) -> str:
    """Write bytes the way files have them: the largest binary unit that needs no fraction."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size_bytes and size_bytes % _BYTES[unit] == 0:
            return f"{size_bytes // _BYTES[unit]}{unit}"
    return f"{size_bytes}B"


def _pattern(units: dict[str, float] | dict[str, int]) -> str:
    return rf"^\d+(\.\d+)?\s*({'|'.join(units)})$|^0$"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {
            "type": ["string", "integer"],
            "format": "duration-with-unit",
            "pattern": _pattern(_SECONDS),
            "minimum": 0,
            "maximum": 0,
            "examples": ["5ms", "30s", "1h"],
        }
    ),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema(
        {
            "type": ["string", "integer"],
            "format": "size-with-unit",
            "pattern": rf"{_pattern(_BYTES)}|^\d+$",
            "examples": ["64MiB", "1GB"],
        }
    ),
]
Share = Annotated[
    float,
    BeforeValidator(parse_share),
    WithJsonSchema(
        {"type": ["string", "number"], "format": "share", "examples": ["5%", 0.05]},
    ),
]

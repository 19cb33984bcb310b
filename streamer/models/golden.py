"""Golden records: inputs kept with a version, and what it answers to them.

`golden/records.jsonl` holds a JSON object a line: `{"text": "…"}`, `{"sentence1": "…", "sentence2":
"…"}` or `{"file": "stop.jpg"}` (a file beside it), and with it `"output": …` in the task's shape.
Without an output the record must only be answered, by numbers that are numbers.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from streamer.errors import ModelError

FOLDER = "golden"
_RECORDS = "records.jsonl"
_TOLERANCE = 1e-3
_PIXELS = 1
_FORMS = {"file": "image", "text": "text", "sentence1": "json"}


@dataclass(frozen=True)
class Golden:
    """One golden record.

    Attributes:
        told: its place, for messages.
        form: how a source of its kind would read the value.
        value: as it would be on Kafka.
        output: what is to be answered; None if anything will do.
    """

    told: str
    form: Literal["image", "text", "json"]
    value: bytes
    output: Any


def golden_records(folder: Path) -> list[Golden]:
    """Read a version's golden records; none if it has none.

    Raises:
        ModelError: a line is none.
    """
    file = folder / FOLDER / _RECORDS
    if not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8").splitlines()
    return [
        _read(line, f"{file}:{number}", file.parent)
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


def _read(line: str, told: str, folder: Path) -> Golden:
    try:
        given = json.loads(line)
        [key] = [key for key in _FORMS if key in given]
        value = _value(key, given, folder)
    except (ValueError, TypeError, LookupError, OSError) as error:
        raise ModelError(
            f'{told}: write {{"text": …}}, {{"sentence1": …, "sentence2": …}} or {{"file": …}}, '
            f'and what is to come of it as "output": …; {error}'
        ) from error
    form: Any = _FORMS[key]
    return Golden(told, form, value, given.get("output"))


def _value(key: str, given: Mapping[str, Any], folder: Path) -> bytes:
    if key == "file":
        name = str(given["file"])
        if Path(name).name != name:
            message = f"'{name}' is no name of a file beside it"
            raise ValueError(message)
        return (folder / name).read_bytes()
    if key == "text":
        return str(given["text"]).encode()
    return json.dumps({"sentence1": given["sentence1"], "sentence2": given["sentence2"]}).encode()


def deviation(expected: Any, found: Any, at: str = "output") -> str | None:
    """Say where an answer is not what was expected; None where it is.

    Numbers may be apart by a thousandth, or a pixel: other processors and thread counts add up in
    another order.
    """
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        missing = [f"{at}.{key} is missing" for key in expected if key not in found]
        told = (deviation(expected[key], found[key], f"{at}.{key}") for key in expected)
        return missing[0] if missing else next(filter(None, told), None)
    if _is_list(expected) and _is_list(found):
        if len(expected) != len(found):
            return f"{at} has {len(found)} entries, not {len(expected)}"
        pairs = enumerate(zip(expected, found, strict=True))
        return next(filter(None, (deviation(*pair, f"{at}[{n}]") for n, pair in pairs)), None)
    if _is_number(expected) and _is_number(found):
        most = _PIXELS if isinstance(expected, int) else _TOLERANCE * max(1.0, abs(expected))
        same = abs(expected - found) <= most
    else:
        same = expected == found
    return None if same else f"{at} is {found!r:.80}, not {expected!r:.80}"


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

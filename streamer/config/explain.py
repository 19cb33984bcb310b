"""What is wrong with a configuration, for people: where, what, and what would be right."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from streamer.config.section import Location

_MAX_SHOWN = 60
# What pydantic's error types ask for, in the words of a file.
_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "keys with values",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "model_type": "keys with values",
    "path_type": "a path",
    "string_type": "text",
}
_LISTS = ("list_type", "tuple_type")
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def explained(
    error: ValidationError,
    model: type[BaseModel],
    source: str,
    lines: Mapping[Location, int],
    origins: Mapping[Location, str] | None = None,
) -> str:
    """Turn pydantic's errors into one line each.

    Args:
        error: what pydantic found.
        model: the section that was read.
        source: the file's name.
        lines: where each key stands in the file.
        origins: places that came from elsewhere than the file, with the name they have there.
    """
    told: dict[tuple[int, str, str], list[str]] = {}
    for detail in error.errors(include_url=False):
        location = _in_file(detail, lines)
        key = ".".join(str(part) for part in location)
        origin = (origins or {}).get(location)
        line = 0 if origin else _line(location, lines)
        where = origin or (f"{source}:{line}" if line else source)
        text = _said(detail, model, location)
        places = told.setdefault((line, where, "" if origin else key), [])
        if text not in places:
            places.append(text)
    return "\n".join(
        ": ".join(part for part in (where, key, _joined(texts)) if part)
        for (_, where, key), texts in sorted(told.items(), key=lambda pair: pair[0][0])
    )


def suggestion(word: str, known: Iterable[str]) -> str:
    """Say which known word was probably meant, or list those there are."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known are {', '.join(known)}" if known else ""


def _said(detail: ErrorDetails, model: type[BaseModel], location: Location) -> str:
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    text = detail["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        text = "unknown key" + suggestion(str(location[-1]), _known_keys(model, location[:-1]))
    elif kind in ("missing", "union_tag_not_found"):
        text = "is missing" if kind == "missing" else f"'{_tag(context)}' is missing"
    elif kind in ("literal_error", "enum"):
        text = f"expected {context['expected']}; got {_shown(value)}{_near(value, context)}"
    elif kind == "union_tag_invalid":
        expected = context["expected_tags"]
        text = f"{_tag(context)}: expected {expected}; got '{context['tag']}'"
    elif kind in _EXPECTED:
        text = f"expected {_EXPECTED[kind]}; got {_shown(value)}{_quotes(kind, value)}"
    elif kind in _LISTS:
        text = f"expected a list{_as_list(value)}; got {_shown(value)}"
    elif kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        text = f"expected {words} {context[name]}; got {_shown(value)}"
    elif kind == "too_short":
        text = "expected at least one entry; the list is empty"
    return text


def _joined(texts: list[str]) -> str:
    """Make one sentence of what the members of a union said of the same value."""
    expected = [text.removeprefix("expected ") for text in texts if text.startswith("expected ")]
    if len(texts) == 1 or len(expected) != len(texts):
        return "; ".join(texts)
    wanted = dict.fromkeys(text.rpartition("; got ")[0] for text in expected)
    return f"expected {' or '.join(wanted)}; got {expected[0].rpartition('; got ')[2]}"


def _tag(context: Mapping[str, Any]) -> str:
    return str(context.get("discriminator", "kind")).strip("'")


def _near(value: Any, context: Mapping[str, Any]) -> str:
    """Suggest one of the literals a value is close to; the message has listed them all."""
    literals = str(context["expected"]).replace(" or ", ", ").split(", ")
    close = difflib.get_close_matches(str(value), [word.strip("'") for word in literals], n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "keys with values"
    if isinstance(value, list | tuple):
        return "a list"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _quotes(kind: str, value: Any) -> str:
    scalar = value is not None and not isinstance(value, Mapping | list | tuple)
    return f" (write it in quotes: '{value}')" if kind == "string_type" and scalar else ""


def _as_list(value: Any) -> str:
    return f", as in [{value}]" if isinstance(value, str | int | float) else ""


def _in_file(detail: ErrorDetails, lines: Mapping[Location, int]) -> Location:
    """Take out of a place what is not in the file: pydantic adds the names of union members."""
    location = detail["loc"]
    if not lines:
        return location
    found: Location = ()
    for index, part in enumerate(location):
        absent = detail["type"] in ("missing", "misfit") and index == len(location) - 1
        if (*found, str(part)) in lines or absent:
            found = (*found, str(part))
    return found


def _line(location: Location, lines: Mapping[Location, int]) -> int:
    """Find the line of a place, or of the nearest place around it; 0 if there is none."""
    for length in range(len(location), 0, -1):
        if location[:length] in lines:
            return lines[location[:length]]
    return 0


def _known_keys(model: type[BaseModel], location: Location) -> list[str]:
    """List the keys that the section at a place takes."""
    here: list[type[BaseModel]] = [model]
    for part in location:
        found: list[type[BaseModel]] = []
        for section in here:
            for name, field in section.model_fields.items():
                if str(part) in (name, field.alias):
                    found += _sections_in(field.annotation)
        here = found or here
    return sorted(
        {field.alias or name for section in here for name, field in section.model_fields.items()}
    )


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections_in(part)]

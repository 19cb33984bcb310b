"""YAML files into sections, with errors that name the file, the line and what would be right."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from streamer.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)
Path_ = tuple[str | int, ...]
_MAX_FILE_BYTES = 4 * 2**20


def read_yaml(path: Path) -> tuple[Any, dict[Path_, int]]:
    """Read a YAML file.

    Returns:
        Its content, and the line (from 1) at which each key or list entry stands.

    Raises:
        ConfigError: the file is missing, too large or no YAML.
    """
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            message = f"{path}: larger than 4 MiB, which no configuration file is"
            raise ConfigError(message)
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror or error}"
        raise ConfigError(message) from error
    except UnicodeDecodeError as error:
        message = f"{path}: is not UTF-8 text"
        raise ConfigError(message) from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        message = f"{path}{line}: no valid YAML: {getattr(error, 'problem', None) or error}"
        raise ConfigError(message) from error
    lines: dict[Path_, int] = {}
    if node is not None:
        _note_lines(node, (), lines, path)
    return content, lines


def _note_lines(node: yaml.Node, at: Path_, lines: dict[Path_, int], path: Path) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                message = f"{path}:{key.start_mark.line + 1}: the key '{key.value}' stands twice"
                raise ConfigError(message)
            seen.add(key.value)
            here = (*at, key.value)
            lines[here] = key.start_mark.line + 1
            _note_lines(value, here, lines, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            here = (*at, index)
            lines[here] = value.start_mark.line + 1
            _note_lines(value, here, lines, path)


def load_section(path: Path, model: type[Model]) -> Model:
    """Read a YAML file into a section.

    Raises:
        ConfigError: naming file, line, key, what is wrong and what would be right.
    """
    content, lines = read_yaml(path)
    if not isinstance(content, Mapping):
        message = f"{path}: expected keys with values, found {type(content).__name__}"
        raise ConfigError(message)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigError(explained(error, model, str(path), lines)) from error


def explained(
    error: ValidationError, model: type[BaseModel], source: str, lines: Mapping[Path_, int]
) -> str:
    """Turn pydantic's errors into one line each: where, what is wrong, what would be right."""
    told = []
    for detail in error.errors():
        location = tuple(part for part in detail["loc"] if part in _parts(lines) or not lines)
        line = _line(tuple(detail["loc"]), lines)
        where = f"{source}:{line}" if line else source
        key = ".".join(str(part) for part in (location or detail["loc"]))
        if detail["type"] == "extra_forbidden":
            known = _known_keys(model, detail["loc"][:-1])
            told.append(f"{where}: unknown key '{key}'{suggestion(str(detail['loc'][-1]), known)}")
        elif detail["type"] == "missing":
            told.append(f"{where}: '{'.'.join(map(str, detail['loc']))}' is missing")
        else:
            text = detail["msg"].removeprefix("Value error, ")
            told.append(f"{where}: {key}: {text}" if key else f"{where}: {text}")
    return "\n".join(dict.fromkeys(told))


def suggestion(word: str, known: Iterable[str]) -> str:
    """Say which known word was probably meant, or list those there are."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known are {', '.join(known)}" if known else ""


def _parts(lines: Mapping[Path_, int]) -> set[str | int]:
    return {part for path in lines for part in path}


def _line(location: Path_, lines: Mapping[Path_, int]) -> int | None:
    """Find the line of a place, or of the nearest place around it."""
    while location:
        if location in lines:
            return lines[location]
        # pydantic puts the names of union members into the path; the file has none of them
        shorter = tuple(part for part in location if part in _parts(lines))
        location = shorter if len(shorter) < len(location) else location[:-1]
    return None


def _known_keys(model: type[BaseModel], location: Path_) -> list[str]:
    """List the keys that the section at a place takes."""
    here: list[type[BaseModel]] = [model]
    for part in location:
        found: list[type[BaseModel]] = []
        for section in here:
            field = section.model_fields.get(str(part))
            if field is not None:
                found += _sections_in(field.annotation)
        here = found or here
    return sorted({name for section in here for name in section.model_fields})


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections_in(part)]

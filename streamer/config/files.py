"""YAML files into sections, with errors that name the file, the line and what would be right."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from streamer.config.explain import explained, suggestion
from streamer.config.section import Location
from streamer.config.units import PlainNumber
from streamer.errors import ConfigError

__all__ = ["explained", "load_section", "read_yaml", "suggestion"]

Model = TypeVar("Model", bound=BaseModel)
_MAX_FILE_BYTES = 4 * 2**20
# Far above any real file; aliases of aliases would grow without end.
_MAX_NODES = 200_000
_MAX_DEPTH = 100


class _Loader(yaml.SafeLoader):
    """The safe loader, marking numbers that nobody has given a unit."""


def _plain_number(loader: _Loader, node: yaml.ScalarNode) -> PlainNumber:
    return PlainNumber(loader.construct_yaml_float(node))


_Loader.add_constructor("tag:yaml.org,2002:float", _plain_number)


def read_yaml(path: Path) -> tuple[Any, dict[Location, int]]:
    """Read a YAML file.

    Returns:
        Its content, and the line (from 1) at which each key or list entry stands; a place's
        parts are text, indices of lists too.

    Raises:
        ConfigError: the file is missing, too large or no YAML.
    """
    text = _read(path)
    try:
        node = yaml.compose(text, Loader=_Loader)
        lines = _lines(node, path)
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader, see above
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}{_marked(error)}") from error
    except ValueError as error:
        # The loader's own checks of dates and of numbers in odd notations.
        raise ConfigError(f"{path}: no valid YAML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: nested deeper than any configuration is") from error
    return content, lines


def load_section(path: Path, model: type[Model]) -> Model:
    """Read a YAML file into a section.

    Raises:
        ConfigError: naming file, line, key, what is wrong and what would be right.
    """
    content, lines = read_yaml(path)
    content = mapping(content, path)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigError(explained(error, model, str(path), lines)) from error


def mapping(content: Any, path: Path) -> Mapping[str, Any]:
    """Refuse a file that is no mapping.

    Raises:
        ConfigError: it is empty, a list, or one value.
    """
    if isinstance(content, Mapping):
        return content
    if content is None:
        raise ConfigError(f"{path}: the file is empty; expected keys with values")
    found = "a list" if isinstance(content, list) else f"only {content!r:.60}"
    raise ConfigError(f"{path}:1: expected keys with values, as in 'name: street'; found {found}")


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise ConfigError(f"{path}: larger than 4 MiB, which no configuration file is")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text") from error


def _marked(error: yaml.YAMLError) -> str:
    """Say what YAML's reader stumbled over, and where."""
    mark = getattr(error, "problem_mark", None)
    line = f":{mark.line + 1}" if mark else ""
    problem = str(getattr(error, "problem", None) or error)
    if "'\\t'" in problem:
        return f"{line}: a tab where YAML wants spaces"
    if "mapping values are not allowed here" in problem:
        problem += " (a ':' too many, a missing space behind one, or a wrong indentation)"
    return f"{line}: no valid YAML: {problem}"


def _lines(root: yaml.Node | None, path: Path) -> dict[Location, int]:
    """Note the line of every key and list entry, refusing keys that stand twice."""
    lines: dict[Location, int] = {}
    waiting: list[tuple[yaml.Node, Location]] = [(root, ())] if root is not None else []
    while waiting:
        node, at = waiting.pop()
        if len(lines) > _MAX_NODES or len(at) > _MAX_DEPTH:
            raise ConfigError(f"{path}: larger, once its aliases are followed, than any real file")
        for here, line, child in _children(node, at, path):
            if here in lines and isinstance(node, yaml.MappingNode):
                raise ConfigError(f"{path}:{line}: the key '{here[-1]}' stands twice")
            lines[here] = line
            waiting.append((child, here))
    return lines


def _children(node: yaml.Node, at: Location, path: Path) -> list[tuple[Location, int, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                raise ConfigError(f"{path}:{line}: a key must be plain text, not a list or keys")
        return [((*at, key.value), key.start_mark.line + 1, value) for key, value in node.value]
    if isinstance(node, yaml.SequenceNode):
        return [
            ((*at, str(index)), value.start_mark.line + 1, value)
            for index, value in enumerate(node.value)
        ]
    return []

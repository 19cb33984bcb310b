"""Where settings come from: variables of the environment and of `.env`, and a YAML file."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from streamer.config.explain import suggestion
from streamer.config.files import mapping, read_yaml
from streamer.config.section import Location, Section
from streamer.errors import ConfigError

PREFIX = "STREAMER_"
# Not ours: what the project's tests are told.
_IGNORED = ("STREAMER_TEST_",)


@dataclass(frozen=True)
class Given:
    """What one source says.

    Attributes:
        values: settings, section by section.
        origins: by place, what to call it in an error.
    """

    values: dict[str, Any]
    origins: dict[Location, str]


class GivenSource(PydanticBaseSettingsSource):
    """Hands what was read to pydantic-settings."""

    def __init__(self, settings_cls: type[BaseSettings], given: Given) -> None:
        super().__init__(settings_cls)
        self._values = given.values

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """Give one field's value."""
        return self._values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Give all values."""
        return self._values


def given_to(model: type[BaseModel], config: Path | None) -> list[Given]:
    """Read every source of settings, the one that goes before the others first.

    Raises:
        ConfigError: a variable or key is unknown, or a file cannot be read.
    """
    dotenv = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    sources = [from_variables(os.environ, model), from_variables(dotenv, model, ".env: ")]
    if config is not None:
        sources.append(_from_yaml(config, model))
    return sources


def from_variables(variables: Mapping[str, str], model: type[BaseModel], place: str = "") -> Given:
    """Take the settings out of variables named `STREAMER_SECTION__KEY`.

    A variable that is empty counts as not set. Variables are refused that look like a setting but
    are none; others that begin with the prefix may be there for other reasons (Kubernetes puts
    `STREAMER_PORT=tcp://…` into pods beside a service named streamer).

    Raises:
        ConfigError: naming the variable, and the one that was probably meant.
    """
    known = {variable(location): location for location in places(model)}
    given = Given({}, {})
    for name in sorted(variables):
        upper, value = name.upper(), variables[name]
        if not upper.startswith(PREFIX) or upper.startswith(_IGNORED) or not value:
            continue
        location = known.get(upper)
        plain = known.get(upper.removesuffix("_FILE"))
        if location is None and plain is not None and upper.endswith("_FILE"):
            location, value = plain, _secret(value, f"{place}{name}", plain, model)
            if variables.get(variable(plain)):
                raise ConfigError(f"{place}{name}: give it or {variable(plain)}, not both")
        if location is None:
            _refuse(f"{place}{name}", upper, value, known)
            continue
        _put(given.values, location, value)
        given.origins[location] = f"{place}{name}"
    return given


def places(model: type[BaseModel]) -> dict[Location, FieldInfo]:
    """List the settings: those of sections, and those beside them."""
    found: dict[Location, FieldInfo] = {}
    for name, field in model.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            found |= {(name, key): inner for key, inner in section.model_fields.items()}
        else:
            found[name,] = field
    return found


def variable(location: Location) -> str:
    """Name the variable of a place."""
    return PREFIX + "__".join(str(part) for part in location).upper()


def is_secret(field: FieldInfo) -> bool:
    """Whether a setting must never be shown, and may be given as a file."""
    return "SecretStr" in str(field.annotation)


def _put(values: dict[str, Any], location: Location, value: Any) -> None:
    *sections, key = location
    for section in sections:
        values = values.setdefault(str(section), {})
    values[str(key)] = value


def _secret(path: str, origin: str, location: Location, model: type[BaseModel]) -> str:
    """Read a secret from the file that a variable or key names."""
    if not is_secret(places(model)[location]):
        raise ConfigError(f"{origin}: only secrets are read from files; write {variable(location)}")
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise ConfigError(f"{origin}: {path}: {reason}") from error
    if not text:
        raise ConfigError(f"{origin}: {path}: the file is empty")
    return text


def _refuse(origin: str, name: str, value: str, known: Mapping[str, Location]) -> None:
    """Refuse a variable that was surely meant as a setting."""
    meant = {other.replace("__", "_"): other for other in known}.get(name)
    if meant is not None and "://" not in value:
        raise ConfigError(f"{origin}: between section and key stand two underscores: {meant}")
    section, between, _ = name.removeprefix(PREFIX).partition("__")
    if not between:
        return
    siblings = [other for other in known if other.startswith(f"{PREFIX}{section}__")]
    if siblings:
        raise ConfigError(f"{origin}: there is no such setting{suggestion(name, siblings)}")
    hint = suggestion(name, known)
    if hint.startswith("; did you mean"):
        raise ConfigError(f"{origin}: there is no such setting{hint}")


def _from_yaml(path: Path, model: type[BaseModel]) -> Given:
    content, lines = read_yaml(path)
    values = {
        name: dict(section) if isinstance(section, Mapping) else section
        for name, section in mapping(content, path).items()
    }
    secrets = [location for location, field in places(model).items() if is_secret(field)]
    for section, key in secrets:
        inner = values.get(str(section))
        if isinstance(inner, dict) and f"{key}_file" in inner:
            at = (str(section), f"{key}_file")
            origin = f"{path}:{lines[at]}: {'.'.join(at)}"
            if key in inner:
                raise ConfigError(f"{origin}: give it or {key}, not both")
            inner[str(key)] = _secret(str(inner.pop(at[1])), origin, (section, key), model)
    named = {at: f"{path}:{line}: {'.'.join(map(str, at))}" for at, line in lines.items()}
    return Given(values, named)

"""The base of every section of a file: frozen, unknown keys refused, documented by docstrings."""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Location = tuple[str | int, ...]


class Section(BaseModel):
    """A part of a configuration file."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
        protected_namespaces=(),
        hide_input_in_errors=True,
    )


def misfits(title: str, found: Iterable[tuple[Location, str]]) -> ValidationError:
    """Make one error of what does not fit together in a section, each with its place in it."""
    return ValidationError.from_exception_data(
        title,
        [
            InitErrorDetails(
                type=PydanticCustomError("misfit", "{text}", {"text": text}),
                loc=location,
                input=None,
            )
            for location, text in found
        ],
        hide_input=True,
    )

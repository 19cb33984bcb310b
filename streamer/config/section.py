"""The base of every section of a file: frozen, unknown keys refused, documented by docstrings."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of a configuration file."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
        protected_namespaces=(),
    )

"""Texts of a fixed form, refused with words instead of the form itself."""

import re
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


class _TextLike:
    def __init__(self, pattern: str, expected: str) -> None:
        self._form = re.compile(pattern)
        self._expected = expected

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "pattern": f"^({self._form.pattern})$"}

    def _checked(self, text: str) -> str:
        if self._form.fullmatch(text):
            return text
        message = f"expected {self._expected}; got {text!r}"
        raise ValueError(message)


def text_like(pattern: str, expected: str) -> _TextLike:
    """Annotate a `str` that must match a pattern as a whole; `expected` says so in words."""
    return _TextLike(pattern, expected)

"""Values with a schema, to JSON: from there on they are read as any JSON value is."""

import io
import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from math import inf
from typing import Any, Protocol

import msgspec

from streamer.config.settings import RegistrySettings
from streamer.errors import BrokerError, ConfigError, DecodeError
from streamer.formats.registry import Registry, Schema
from streamer.formats.wire import message_indexes, unwrapped

SCHEMED = ("avro", "protobuf", "json-schema")
"""Formats whose values name a schema of the registry."""
_MOST_SCHEMAS = 1000
_MOST_CHARS = 500


class Reading(Protocol):
    """Gives a value as JSON."""

    def json(self, value: bytes) -> bytes:
        """Give the content as JSON, bytes as base64.

        Raises:
            DecodeError: whatever is wrong with it; `reason` says what in one word.
        """
        ...


def reading_for(form: str, registry: Registry) -> Reading:
    """Give what reads a format.

    Raises:
        ConfigError: the extra `schemas` is not installed.
    """
    try:
        return _READINGS[form](registry)
    except ImportError as error:
        told = f"source.format: {form} needs {error.name}; pip install 'streamer[schemas]'"
        raise ConfigError(told) from error


def registry_for(
    form: str,
    settings: RegistrySettings,
    stopping: Callable[[], bool] = lambda: False,
    patience: float = inf,
) -> Registry | None:
    """Give the registry that a format needs; None if it needs none.

    Raises:
        ConfigError: no address is set.
    """
    return Registry(settings, stopping, patience=patience) if form in SCHEMED else None


def reading_of(registry: Registry) -> Reading:
    """Give what reads values of whatever kind of schema they name; for commands, not the line."""
    return AnyReading(registry)


def check_formats(forms: Iterable[str], settings: RegistrySettings) -> None:
    """Check that formats have what they need, before anything is read.

    Raises:
        ConfigError: a registry's address or the extra `schemas` is missing.
    """
    for form in sorted({*forms} & {*SCHEMED}):
        reading_for(form, Registry(settings))


class JsonSchemaReading:
    """JSON behind a schema's id, checked against that schema."""

    def __init__(self, registry: Registry) -> None:
        import jsonschema.validators
        import referencing
        import referencing.jsonschema

        self._registry = registry
        self._kinds = jsonschema.validators.validator_for
        self._resources: Callable[..., Any] = referencing.Registry
        self._resource = referencing.jsonschema.DRAFT7.create_resource
        self._validators = lru_cache(_MOST_SCHEMAS)(self._validator_anew)

    def json(self, value: bytes) -> bytes:
        """Take the id off, and check what is left."""
        schema_id, content = unwrapped(value)
        validator = self._validators(schema_id)
        try:
            wrong = next(validator.iter_errors(msgspec.json.decode(content)), None)
        except (msgspec.DecodeError, RecursionError) as error:
            raise _unfit("JSON", schema_id, error) from error
        except Exception as error:  # a reference that leads nowhere
            raise _unfit("schema", schema_id, error) from error
        if wrong is not None:
            told = f"it is not as schema {schema_id} says: {wrong.json_path}: {wrong.message}"
            raise DecodeError(told[:_MOST_CHARS], reason="schema-mismatch")
        return content

    def _validator_anew(self, schema_id: int) -> Any:
        schema = self._registry.schema(schema_id)
        if schema.kind != "JSON":
            raise _other_kind(schema_id, schema, "JSON")
        resources: dict[str, Any] = {}
        try:
            content = json.loads(schema.text)
            self._learn(schema, resources)
            kind = self._kinds(content)
            kind.check_schema(content)
        except (DecodeError, BrokerError):  # the latter is no fault of the record
            raise
        except Exception as error:
            raise _unfit("schema", schema_id, error) from error
        # With resources of its own nothing is fetched, wherever a schema points to.
        return kind(content, registry=self._resources().with_resources(resources.items()))

    def _learn(self, schema: Schema, resources: dict[str, Any]) -> None:
        """Fetch what a schema refers to, and what that refers to."""
        for name, subject, version in schema.references:
            if name not in resources:
                other = self._registry.version(subject, version)
                resources[name] = self._resource(json.loads(other.text))
                self._learn(other, resources)


class AnyReading:
    """A value of any kind of schema."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._readings: dict[str, Reading] = {}

    def json(self, value: bytes) -> bytes:
        """Read a value as the kind of its schema asks for."""
        schema_id, _ = unwrapped(value)
        kind = self._registry.schema(schema_id).kind
        form = _FORMS.get(kind)
        if form is None:
            raise DecodeError(f"schema {schema_id} is {kind}", reason="schema-mismatch")
        if form not in self._readings:
            self._readings[form] = reading_for(form, self._registry)
        return self._readings[form].json(value)


class AvroReading:
    """Avro, read by the schema it was written with."""

    def __init__(self, registry: Registry) -> None:
        import fastavro

        self._registry = registry
        self._read: Callable[..., Any] = fastavro.schemaless_reader
        self._parse: Callable[..., Any] = fastavro.parse_schema
        self._parsed = lru_cache(_MOST_SCHEMAS)(self._parsed_anew)

    def json(self, value: bytes) -> bytes:
        """Read a value."""
        schema_id, content = unwrapped(value)
        schema = self._parsed(schema_id)
        stream = io.BytesIO(content)
        try:
            found = self._read(stream, schema, None)
        except Exception as error:  # the library's errors have no common ancestor
            raise _unfit("Avro", schema_id, error) from error
        if stream.tell() != len(content):
            left = len(content) - stream.tell()
            raise DecodeError(
                f"{left} bytes are left behind what schema {schema_id} describes",
                reason="schema-mismatch",
            )
        return _as_json(found)

    def _parsed_anew(self, schema_id: int) -> Any:
        schema = self._registry.schema(schema_id)
        if schema.kind != "AVRO":
            raise _other_kind(schema_id, schema, "AVRO")
        named: dict[str, Any] = {}
        self._learn(schema, named)
        try:
            return self._parse(json.loads(schema.text), named_schemas=named)
        except Exception as error:
            raise _unfit("schema", schema_id, error) from error

    def _learn(self, schema: Schema, named: dict[str, Any]) -> None:
        """Parse what a schema refers to first, so that its names are known."""
        for _, subject, version in schema.references:
            other = self._registry.version(subject, version)
            self._learn(other, named)
            self._parse(json.loads(other.text), named_schemas=named)


class ProtobufReading:
    """Protobuf, read by the schema it was written with."""

    def __init__(self, registry: Registry) -> None:
        from google.protobuf.json_format import MessageToDict

        from streamer.formats.proto import message_class

        self._registry = registry
        self._class = message_class
        self._to_dict = MessageToDict
        self._messages = lru_cache(_MOST_SCHEMAS)(self._message_anew)

    def json(self, value: bytes) -> bytes:
        """Read a value; names stay as the schema has them, fields that are not set are left out."""
        schema_id, rest = unwrapped(value)
        indexes, content = message_indexes(rest)
        kind = self._messages(schema_id, tuple(indexes))
        try:
            message = kind.FromString(content)
        except Exception as error:
            raise _unfit("Protobuf", schema_id, error) from error
        return _as_json(self._to_dict(message, preserving_proto_field_name=True))

    def _message_anew(self, schema_id: int, indexes: tuple[int, ...]) -> Any:
        schema = self._registry.schema(schema_id)
        if schema.kind != "PROTOBUF":
            raise _other_kind(schema_id, schema, "PROTOBUF")
        imports: dict[str, str] = {}
        self._learn(schema, imports)
        try:
            return self._class(schema.text, imports, indexes)
        except (TypeError, ValueError) as error:
            raise _unfit("schema", schema_id, error) from error

    def _learn(self, schema: Schema, imports: dict[str, str]) -> None:
        """Fetch what a file imports, and what that imports."""
        for name, subject, version in schema.references:
            if name not in imports:
                other = self._registry.version(subject, version)
                imports[name] = other.text
                self._learn(other, imports)


_READINGS: dict[str, Callable[[Registry], Reading]] = {
    "avro": AvroReading,
    "protobuf": ProtobufReading,
    "json-schema": JsonSchemaReading,
}

_FORMS = {"AVRO": "avro", "PROTOBUF": "protobuf", "JSON": "json-schema"}


def _as_json(content: Any) -> bytes:
    try:
        return msgspec.json.encode(content, enc_hook=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise DecodeError(f"no JSON can say it: {error}", reason="schema-mismatch") from error


def _unfit(what: str, schema_id: int, error: Exception) -> DecodeError:
    told = f"the {what} of schema {schema_id} cannot be read: {type(error).__name__}: {error}"
    return DecodeError(told, reason="schema-mismatch")


def _other_kind(schema_id: int, schema: Schema, wanted: str) -> DecodeError:
    told = f"schema {schema_id} is {schema.kind}, and the source is {wanted}"
    return DecodeError(told, reason="schema-mismatch")

"""JSON objects: their depth, and the fields that are asked for.

Only these are built; the rest of an object is skipped, however much it is.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np

from streamer.decode.text import BOM, invalid_utf8
from streamer.errors import DecodeError

_OPENING, _CLOSING, _QUOTE = b"{[", b"}]", ord('"')
_STRUCTURE = b'{[}]"'
_OTHER = bytes(code for code in range(256) if code not in _STRUCTURE)
_STEP_BYTES = 2**20
_STEPS = np.zeros(256, np.int8)
_STEPS[list(_OPENING)] = 1
_STEPS[list(_CLOSING)] = -1


def depth_exceeds(value: bytes, limit: int) -> bool:
    """Tell whether brackets nest deeper than `limit`, without building anything.

    It sees what the parser would see up to the first syntax error, where the parser stops.
    """
    if value.count(b"{") + value.count(b"[") <= limit:
        return False
    # Escaped quotes end no string. Pairs of backslashes first: the second escapes nothing.
    bare = value.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _OTHER)
    depth, inside = 0, 0
    for start in range(0, len(bare), _STEP_BYTES):
        codes = np.frombuffer(bare, np.uint8, min(_STEP_BYTES, len(bare) - start), start)
        quoted = (inside + np.cumsum(codes == _QUOTE)) & 1
        depths = depth + np.cumsum(np.where(quoted, 0, _STEPS[codes]), dtype=np.int64)
        if depths.max() > limit:
            return True
        depth, inside = int(depths[-1]), int(quoted[-1])
    return False


def pointer(field: str) -> tuple[str, ...]:
    """Split a JSON pointer (RFC 6901) into its tokens; a plain name is its own only token."""
    if not field.startswith("/"):
        return (field,)
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in field[1:].split("/"))


class FieldReader:
    """Takes some fields out of JSON objects, as the bytes they are written in."""

    def __init__(self, fields: Iterable[str], depth: int) -> None:
        """Prepare to read `fields`, names or JSON pointers, from objects up to `depth` levels."""
        self._paths = {field: pointer(field) for field in fields}
        self._depth = depth
        tokens = {path[0] for path in self._paths.values()}
        self._parts = {token: f"part{number}" for number, token in enumerate(sorted(tokens))}
        self._decoder = msgspec.json.Decoder(_shape(self._parts))

    def read(self, value: bytes) -> dict[str, bytes]:
        """Give the fields that are there and not null.

        Raises:
            DecodeError: `json-too-deep`, `invalid-json`, `invalid-utf8`, `wrong-type`.
        """
        value = value.removeprefix(BOM)
        if depth_exceeds(value, self._depth):
            raise DecodeError(
                f"JSON nested deeper than {self._depth} levels", reason="json-too-deep"
            )
        parts = decoded(value, self._decoder, "the value")
        found = {}
        for field, path in self._paths.items():
            raw = getattr(parts, self._parts[path[0]])
            if raw is not msgspec.UNSET:
                content = _followed(bytes(raw), path[1:])
                if content is not None and content != b"null":
                    found[field] = content
        return found


def decoded(content: bytes, decoder: msgspec.json.Decoder[Any], what: str) -> Any:
    """Run a decoder, its errors translated.

    Raises:
        DecodeError: `invalid-json`, `invalid-utf8`, `wrong-type`.
    """
    try:
        return decoder.decode(content)
    except UnicodeDecodeError as error:
        raise invalid_utf8(error) from error
    except msgspec.ValidationError as error:
        raise DecodeError(f"{what}: {error}", reason="wrong-type") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise DecodeError(f"no JSON: {error}", reason="invalid-json") from error


def _shape(parts: dict[str, str]) -> type[msgspec.Struct]:
    """Make a type that has these keys of an object, unparsed, and skips all others."""
    return msgspec.defstruct(
        "Shape",
        [
            (name, msgspec.Raw | msgspec.UnsetType, msgspec.field(name=key, default=msgspec.UNSET))
            for key, name in parts.items()
        ],
    )


def _followed(content: bytes, path: tuple[str, ...]) -> bytes | None:
    """Follow the rest of a pointer; None where it leads nowhere."""
    for token in path:
        if content.startswith(b"{"):
            shape = msgspec.json.Decoder(_shape({token: "part"}))
            raw = decoded(content, shape, "the value").part
            if raw is msgspec.UNSET:
                return None
        elif content.startswith(b"[") and token.isdecimal():
            items = decoded(content, _ITEMS, "the value")
            if int(token) >= len(items):
                return None
            raw = items[int(token)]
        else:
            return None
        content = bytes(raw)
    return content


_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])

"""Bytes to text."""

from streamer.errors import DecodeError

BOM = b"\xef\xbb\xbf"


def decode_text(value: bytes, limit: int) -> str:
    """Decode UTF-8, a byte order mark left out.

    Raises:
        DecodeError: `empty-value`, `text-too-long`, `invalid-utf8`.
    """
    value = value.removeprefix(BOM)
    if not value:
        raise DecodeError("an empty text", reason="empty-value")
    if len(value) > limit:
        raise _too_long(len(value), limit, "text")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise invalid_utf8(error) from error


def checked_text(text: str, limit: int, name: str) -> str:
    """Hold a text that a JSON field holds to the same rules.

    Raises:
        DecodeError: `empty-value`, `text-too-long`, `invalid-utf8`.
    """
    text = text.removeprefix("\ufeff")
    if not text:
        raise DecodeError(f"field '{name}' holds an empty text", reason="empty-value")
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError as error:
        raise DecodeError(
            f"field '{name}' holds half a surrogate pair, which is no character",
            reason="invalid-utf8",
        ) from error
    if size > limit:
        raise _too_long(size, limit, f"field '{name}'")
    return text


def invalid_utf8(error: UnicodeDecodeError) -> DecodeError:
    """Say where UTF-8 ends to be UTF-8."""
    seen = error.object[error.start : error.start + 1].hex()
    return DecodeError(
        f"no UTF-8: byte 0x{seen} at {error.start} ({error.reason})", reason="invalid-utf8"
    )


def _too_long(size: int, limit: int, what: str) -> DecodeError:
    return DecodeError(f"{what} of {size} bytes; limits.text is {limit}", reason="text-too-long")

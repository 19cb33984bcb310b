"""Which URIs may be fetched."""

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from streamer.errors import ConfigError, DecodeError

WEB = {"http": 80, "https": 443}
_SHOWN = 200
_SPACE, _DELETE = 0x20, 0x7F
_DECODINGS = 3


@dataclass(frozen=True, slots=True)
class Place:
    """Where a URI points to, in one way of writing.

    Attributes:
        scheme: in lower case.
        host: in lower case; a bucket for object stores; empty for files.
        port: the scheme's default where none is written; 0 for what has none.
        path: percent-decoded.
    """

    scheme: str
    host: str
    port: int
    path: str

    def holds(self, other: "Place") -> bool:
        """Tell whether `other` lies at this place or, by whole path segments, below it."""
        same = (self.scheme, self.host, self.port) == (other.scheme, other.host, other.port)
        root = self.path.rstrip("/")
        return same and (other.path == root or other.path.startswith(root + "/"))


def place_of(uri: str) -> Place:
    """Take a URI apart.

    Raises:
        ValueError: it is written in a way that different programs read differently.
    """
    if any(ord(sign) <= _SPACE or ord(sign) == _DELETE or sign == "\\" for sign in uri):
        raise ValueError("a space, a control character or a backslash")
    if not uri.isascii():
        raise ValueError("a character that is not ASCII; write it percent-encoded")
    parts = urlsplit(uri)
    if not parts.scheme or "://" not in uri:
        raise ValueError("no scheme, as in https://")
    if "@" in parts.netloc:
        raise ValueError("a user name before the host")
    if "::" in parts.path or "#" in uri:
        raise ValueError("'::' or '#'")
    if parts.query and parts.scheme not in WEB:
        raise ValueError("'?'")
    _refuse_climbing(parts.path)
    return Place(
        parts.scheme,
        (parts.hostname or "").rstrip("."),
        parts.port or WEB.get(parts.scheme, 0),
        unquote(parts.path),
    )


def _refuse_climbing(path: str) -> None:
    """Refuse '..', however often it is percent-encoded."""
    for _ in range(_DECODINGS):
        if "\\" in path or "\0" in path:
            raise ValueError("an encoded backslash or NUL")
        if any(segment.split(";")[0] in {".", ".."} for segment in path.split("/")):
            raise ValueError("'.' or '..' as a path segment")
        path = unquote(path)


def shown(uri: str) -> str:
    """Give a URI for messages: without its query, which may hold a signature."""
    return uri.partition("?")[0][:_SHOWN]


class AllowList:
    """The prefixes a URI may begin with."""

    def __init__(self, prefixes: tuple[str, ...]) -> None:
        """Take the prefixes apart.

        Raises:
            ConfigError: one is no URI, or names no host.
        """
        self.places = tuple(_allowed(prefix) for prefix in prefixes)

    def check(self, uri: str) -> Place:
        """Give where a URI points to.

        Raises:
            DecodeError: `uri-not-allowed`.
        """
        try:
            place = place_of(uri)
        except ValueError as error:
            raise _refused(uri, f"it has {error}") from error
        if not any(allowed.holds(place) for allowed in self.places):
            why = "fetch.allow is empty" if not self.places else "no prefix in fetch.allow fits"
            raise _refused(uri, why)
        return place


def _allowed(prefix: str) -> Place:
    try:
        place = place_of(prefix)
    except ValueError as error:
        raise ConfigError(f"source.fetch.allow: '{prefix}' has {error}") from error
    if (place.scheme == "file") == bool(place.host):
        wanted = "file:///folder" if place.scheme == "file" else f"{place.scheme}://host/folder"
        raise ConfigError(f"source.fetch.allow: '{prefix}': write it as in {wanted}")
    return place


def _refused(uri: str, why: str) -> DecodeError:
    return DecodeError(f"'{shown(uri)}' is not fetched: {why}", reason="uri-not-allowed")

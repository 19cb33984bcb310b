"""Fetching pictures that a record names by URI."""

import http.client
import os
import stat
import time
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from streamer.config.topology import Fetch
from streamer.decode.uri import WEB, AllowList, Place, shown
from streamer.errors import ConfigError, DecodeError

_CHUNK_BYTES = 2**16
_ATTEMPTS = 3
_PAUSE_S = 0.1
_TOO_MANY_REQUESTS, _SERVER_ERRORS = 429, 500


class Fetcher:
    """Fetches what the allow-list lets through, within a size and a time."""

    def __init__(self, settings: Fetch) -> None:
        """Prepare for the allowed schemes.

        Raises:
            ConfigError: a prefix is no URI, or its scheme needs a package that is missing.
        """
        self._settings = settings
        self._allowed = AllowList(settings.allow)
        self._web = build_opener(_Redirects(self._allowed))
        self._stores = {
            place.scheme: _store(place.scheme)
            for place in self._allowed.places
            if place.scheme not in WEB and place.scheme != "file"
        }

    def fetch(self, uri: str) -> bytes:
        """Fetch a file's content; a failure that may pass is tried again.

        Raises:
            DecodeError: `uri-not-allowed`, `fetch-failed`.
        """
        place = self._allowed.check(uri)
        deadline = time.monotonic() + self._settings.timeout
        for attempt in range(_ATTEMPTS):
            try:
                content = self._content(uri, place, deadline)
            except DecodeError:
                raise
            except Exception as error:
                if isinstance(error, HTTPError):
                    error.close()
                pause = _PAUSE_S * 4**attempt
                last = attempt == _ATTEMPTS - 1 or time.monotonic() + pause >= deadline
                if last or not _may_pass(error):
                    raise _failed(uri, _told(error)) from error
                time.sleep(pause)
            else:
                if len(content) > self._settings.max_size:
                    raise _failed(uri, f"more than {self._settings.max_size} bytes")
                return content
        raise AssertionError  # the last attempt returns or raises

    def _content(self, uri: str, place: Place, deadline: float) -> bytes:
        if place.scheme in WEB:
            return self._from_web(uri, deadline)
        if place.scheme == "file":
            return self._from_file(uri, place)
        store = self._stores[place.scheme]
        path = f"{place.host}{place.path}"
        content: bytes = store.cat_file(path, start=0, end=self._settings.max_size + 1)
        return content

    def _from_web(self, uri: str, deadline: float) -> bytes:
        request = Request(uri, headers={"User-Agent": "streamer"})  # noqa: S310 - scheme checked
        left = max(0.001, deadline - time.monotonic())
        content = bytearray()
        with self._web.open(request, timeout=left) as response:
            while chunk := response.read1(_CHUNK_BYTES):
                content += chunk
                if len(content) > self._settings.max_size:
                    break
                if time.monotonic() > deadline:
                    raise _failed(uri, f"not done within {self._settings.timeout:g} s")
            else:
                announced = response.length
                if announced:
                    raise http.client.IncompleteRead(bytes(content), announced)
        return bytes(content)

    def _from_file(self, uri: str, place: Place) -> bytes:
        path = Path(place.path).resolve()
        roots = [Path(root.path).resolve() for root in self._allowed.places if root.holds(place)]
        if not any(path.is_relative_to(root) for root in roots):
            raise DecodeError(
                f"'{shown(uri)}' is a link to outside of fetch.allow", reason="uri-not-allowed"
            )
        # Without O_NONBLOCK, opening a named pipe waits for its writer for ever.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise _failed(uri, "no regular file")
            return file.read(self._settings.max_size + 1)


class _Redirects(HTTPRedirectHandler):
    """Follows a redirect only to where a record could have pointed itself."""

    max_redirections = 5

    def __init__(self, allowed: AllowList) -> None:
        self._allowed = allowed

    def redirect_request(  # noqa: PLR0913, PLR0917 - the base class's signature
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        try:
            self._allowed.check(newurl)
        except DecodeError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _store(scheme: str) -> Any:
    import fsspec  # type: ignore[import-untyped]

    try:
        return fsspec.filesystem(scheme)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"source.fetch.allow: {scheme}:// cannot be read: {error}") from error


def _may_pass(error: Exception) -> bool:
    """Tell whether the same request may succeed a moment later."""
    if isinstance(error, HTTPError):
        return error.code == _TOO_MANY_REQUESTS or error.code >= _SERVER_ERRORS
    lasting = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
    return isinstance(error, (OSError, http.client.HTTPException)) and not isinstance(
        error, lasting
    )


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _failed(uri: str, why: str) -> DecodeError:
    return DecodeError(f"'{shown(uri)}' could not be fetched: {why}", reason="fetch-failed")

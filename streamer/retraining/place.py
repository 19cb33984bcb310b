"""The folder, or the place behind a URL, where the labelled set and the runs are kept."""

import os
import secrets
from pathlib import Path
from typing import Any

from streamer.errors import ConfigError, DownloadError


class Place:
    """Small files by their paths; each is there whole or not at all.

    Args:
        url: a folder, or a URL that fsspec opens.
    """

    def __init__(self, url: str) -> None:
        import fsspec  # type: ignore[import-untyped]

        self.url = url.rstrip("/")
        try:
            self._fs, root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise ConfigError(f"set: {url}: {error}") from error
        self._root = str(root).rstrip("/")
        self._local = "file" in _protocols(self._fs)

    def read(self, path: str) -> bytes | None:
        """Read a file; None if it is not there.

        Raises:
            DownloadError: the place does not answer.
        """
        try:
            content: bytes = self._fs.cat_file(self._at(path))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._failed(path, error) from error
        return content

    def write(self, path: str, content: bytes, *, new: bool = False) -> None:
        """Write a file, in the place of what is there; if `new`, only where nothing is.

        Raises:
            DownloadError: the place does not take it.
        """
        target = self._at(path)
        try:
            self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            if not self._local:
                # an object is there once it is whole
                self._fs.pipe_file(target, content, mode="create" if new else "overwrite")
                return
            part = f"{target}.{secrets.token_hex(4)}.part"
            with open(part, "wb") as stream:  # noqa: PTH123 - a path of the file system's
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            if new:
                os.link(part, target)
                os.unlink(part)  # noqa: PTH108
            else:
                os.replace(part, target)  # noqa: PTH105
        except Exception as error:
            raise self._failed(path, error) from error

    def names(self, folder: str) -> list[str]:
        """Name what is in a folder, in order; nothing if it is not there."""
        self._fs.invalidate_cache()
        try:
            found = self._fs.ls(self._at(folder), detail=False)
        except FileNotFoundError:
            return []
        except Exception as error:
            raise self._failed(folder, error) from error
        names = sorted(str(one).rstrip("/").rpartition("/")[2] for one in found)
        return [name for name in names if not name.endswith(".part")]

    def sweep(self) -> int:
        """Remove what writers have left that were killed; give how many files that were."""
        if not self._local:
            return 0
        left = [file for file in Path(self._root).rglob("*.part") if file.is_file()]
        for file in left:
            file.unlink(missing_ok=True)
        return len(left)

    def remove(self, path: str) -> None:
        """Remove a file, if it is there."""
        try:
            self._fs.rm_file(self._at(path))
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._failed(path, error) from error

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _failed(self, path: str, error: Exception) -> DownloadError:
        return DownloadError(f"{self.url}/{path}: {type(error).__name__}: {error}")


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)

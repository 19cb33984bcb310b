"""Versions fetched from behind a URL: resumed, verified, there whole or not at all."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from streamer.config.files import load_section
from streamer.errors import ConfigError, DownloadError, ModelError
from streamer.models.location import MANIFEST
from streamer.models.manifest import Manifest

_CHUNK_BYTES = 4 * 2**20
_TRIES = 3
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "abfs": "azure", "az": "azure"}


class Remote:
    """A folder of some file system, addressed by paths below it."""

    def __init__(self, url: str) -> None:
        import fsspec  # type: ignore[import-untyped]

        self.url = url.rstrip("/")
        scheme = url.partition("://")[0]
        try:
            self.fs, root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            extra = _EXTRAS.get(scheme)
            hint = f": pip install 'streamer[{extra}]'" if extra else ""
            raise ConfigError(f"models.registry: {url}: {error}{hint}") from error
        self._root = str(root).rstrip("/")

    def path(self, below: str) -> str:
        """Give a path as the file system names it."""
        return f"{self._root}/{below}" if below else self._root

    def folders(self, below: str) -> list[str]:
        """Name the folders in a folder."""
        self.fs.invalidate_cache()
        try:
            found = self.fs.ls(self.path(below), detail=True)
        except FileNotFoundError:
            return []
        names = (str(one["name"]).rstrip("/").rpartition("/")[2] for one in found if _folder(one))
        return sorted(name for name in names if not name.startswith("."))

    def exists(self, below: str) -> bool:
        """Whether there is such a file."""
        self.fs.invalidate_cache()
        return bool(self.fs.exists(self.path(below)))

    def read(self, below: str) -> bytes:
        """Read a small file."""
        content: bytes = self.fs.cat_file(self.path(below))
        return content

    def manifest(self, version: str) -> Manifest:
        """Read a version's manifest."""
        import tempfile

        with tempfile.TemporaryDirectory(prefix="streamer-") as folder:
            file = Path(folder) / MANIFEST
            file.write_bytes(self.read(f"{version}/{MANIFEST}"))
            return load_section(file, Manifest)

    def open(self, below: str) -> Any:
        """Open a file to read it from any place."""
        return self.fs.open(self.path(below), "rb", cache_type="none")


class Files(Protocol):
    """Files of versions, as VERSION/FILE below some place."""

    url: str

    def read(self, below: str) -> bytes:
        """Read a small file."""
        ...

    def open(self, below: str) -> Any:
        """Open a file to read it from any place."""
        ...


def fetched(remote: Files, version: str, target: Path) -> None:
    """Fetch a version into a folder that does not exist yet.

    What a fetch before has left is gone on with; two processes take turns.

    Raises:
        DownloadError: a file does not come whole.
        ModelError: a file is not what the manifest says, or the manifest lists none.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    with locked(target.with_name(f".{target.name}.lock")):
        if (target / MANIFEST).is_file():
            return
        manifest = remote.read(f"{version}/{MANIFEST}")
        if part.exists() and _read(part / MANIFEST) != manifest:
            shutil.rmtree(part)
        part.mkdir(exist_ok=True)
        (part / MANIFEST).write_bytes(manifest)
        files = load_section(part / MANIFEST, Manifest).files
        if not files:
            raise ModelError(
                f"{remote.url}/{version}/{MANIFEST}: lists no files with checksums; "
                "write the version with `streamer models add`"
            )
        for name, checksum in files.items():
            _fetch(remote, f"{version}/{name}", inside(part, name), checksum)
        part.rename(target)


def inside(folder: Path, name: str) -> Path:
    """Give the place of a file that a manifest lists; it must lie within the version's folder.

    Raises:
        ModelError: the name leads out of it.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()) or "\\" in name:
        raise ModelError(f"{folder / MANIFEST}: '{name}' leads out of the model's directory")
    return path


def sha256_of(file: Path) -> str:
    """Give a file's checksum as manifests write it."""
    with file.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def _fetch(remote: Files, source: str, target: Path, checksum: str) -> None:
    """Fetch one file, from where the last try ended; whole and wrong, once more from its begin."""
    if target.is_file() and sha256_of(target) == checksum.lower():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    problem: Exception | None = None
    for _ in range(_TRIES):
        try:
            _append(remote, source, part)
        except FileNotFoundError as error:
            raise ModelError(f"{remote.url}/{source}: the manifest lists it; not there") from error
        except Exception as error:  # noqa: BLE001 - file systems raise whatever their libraries do
            problem = error
            continue
        found = sha256_of(part)
        if found == checksum.lower():
            part.rename(target)
            return
        part.unlink()
        problem = ModelError(
            f"{remote.url}/{source}: is not the file that {MANIFEST} names: its checksum is "
            f"{found}, listed is {checksum}"
        )
    if isinstance(problem, ModelError):
        raise problem
    kind = type(problem).__name__
    raise DownloadError(f"{remote.url}/{source}: cannot be fetched: {kind}: {problem}")


def _append(remote: Files, source: str, part: Path) -> None:
    """Add what is missing to a file that has been fetched in part, and put it onto the disk."""
    with part.open("ab") as out, remote.open(source) as stream:
        stream.seek(out.tell())
        while chunk := stream.read(_CHUNK_BYTES):
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())


@contextmanager
def locked(path: Path) -> Iterator[IO[str]]:
    """Let one process at a time do something; others wait."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _folder(entry: dict[str, Any]) -> bool:
    return entry.get("type") == "directory"

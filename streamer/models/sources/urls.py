"""Models behind URLs that fsspec opens: fetched file by file, resumed, there whole or not."""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from streamer.errors import ConfigError, DownloadError, ModelError
from streamer.models.location import MANIFEST, SUFFIXES, version_order

_CHUNK_BYTES = 4 * 2**20
_TRIES = 3
_MAX_BYTES = 64 * 2**30
_MAX_FILES = 10_000
_SUMS = ".fetched.json"
# File systems made of archives or of other file systems: archives are not unpacked here.
_WITHIN = ("zip", "tar", "libarchive", "simplecache", "filecache", "blockcache", "reference")
# What tells that a file behind a URL is another one; which of them there are differs.
_MARKS = ("etag", "ETag", "md5Hash", "generation", "LastModified", "mtime", "created", "sha256")


def fetched(url: str, cache: Path) -> Path:
    """Fetch the file, or the folder, behind a URL.

    Raises:
        ConfigError: nothing is there, the URL is none, or the package for its scheme is missing.
        DownloadError: it does not come whole.
        ModelError: it is larger than any model.
    """
    fs, root = _opened(url)
    files = _listed(fs, root, url)
    newest = _newest(files)
    if newest:
        root = f"{root}/{newest}"
        files = {
            below.removeprefix(f"{newest}/"): told
            for below, told in files.items()
            if below.startswith(f"{newest}/")
        }
    print_ = hashlib.sha256(json.dumps([url, files], sort_keys=True).encode()).hexdigest()
    name = PurePosixPath(root).name or "model"
    target = cache / "urls" / hashlib.sha256(url.encode()).hexdigest()[:16] / print_[:16] / name
    alone = list(files) == [""]
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.parent.with_suffix(".lock")):
        if not _whole(target):
            part = target.with_name(f"{name}.part")
            part.mkdir(exist_ok=True)
            sums = {}
            for below, told in files.items():
                kept = part / (below or name)
                _fetch(fs, f"{root}/{below}" if below else root, kept, told["size"], url)
                sums[below or name] = _digest(kept)
            (part / _SUMS).write_text(json.dumps(sums), encoding="utf-8")
            shutil.rmtree(target, ignore_errors=True)
            part.rename(target)
    return target / name if alone else target


def _opened(url: str) -> tuple[Any, str]:
    import fsspec  # type: ignore[import-untyped]

    scheme = url.partition("://")[0]
    if "::" in url or scheme in _WITHIN:
        raise ConfigError(
            f"model '{url}': archives are not unpacked here; put the files into a folder"
        )
    try:
        fs, root = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise ConfigError(f"model '{url}': {scheme}:// needs a package: {error}") from error
    except ValueError as error:
        raise ConfigError(f"model '{url}': {error}") from error
    return fs, str(root).rstrip("/")


def _listed(fs: Any, root: str, url: str) -> dict[str, dict[str, Any]]:
    """Give the files by their names below the root, with what tells each one's state."""
    files: dict[str, dict[str, Any]] = {}
    for path, told in _found(fs, root, url).items():
        below = str(path).rstrip("/").removeprefix(root).lstrip("/")
        if ".." in PurePosixPath(below).parts or "\\" in below:
            raise ModelError(f"{url}: has a file '{below}' that leads out of it")
        marks = {key: str(told[key]) for key in _MARKS if told.get(key) is not None}
        if not PurePosixPath(below).name.startswith("."):
            files[below] = {"size": int(told.get("size") or 0), **marks}
    size = sum(told["size"] for told in files.values())
    if size > _MAX_BYTES:
        raise ModelError(f"{url}: {size / 2**30:,.0f} GiB: larger than any model that can be run")
    if list(files) == [""] and PurePosixPath(root).suffix not in SUFFIXES:
        raise ConfigError(
            f"model '{url}': is no model file that is known here ({', '.join(SUFFIXES)})"
        )
    return files


def _newest(files: Iterable[str]) -> str | None:
    """Name the newest version in a folder of versions; None if it is a version itself."""
    if MANIFEST in files:
        return None
    found = {PurePosixPath(below).parts for below in files if below.endswith(f"/{MANIFEST}")}
    versions = [parts[0] for parts in found if len(parts) == 2]  # noqa: PLR2004 - one level down
    return max(versions, key=version_order, default=None)


def _found(fs: Any, root: str, url: str) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = fs.find(root, detail=True)
        if not found and fs.exists(root):
            found = {root: fs.info(root)}
    except FileNotFoundError:
        found = {}
    except Exception as error:
        raise DownloadError(f"model '{url}': {type(error).__name__}: {error}") from error
    if not found:
        raise ConfigError(f"model '{url}': there is nothing")
    if len(found) > _MAX_FILES:
        raise ModelError(f"{url}: holds {len(found)} files: name the folder of one model")
    return found


def _fetch(fs: Any, source: str, target: Path, size: int, url: str) -> None:
    """Fetch a file, going on where the last try ended."""
    target.parent.mkdir(parents=True, exist_ok=True)
    problem: Exception | None = None
    for _ in range(_TRIES):
        try:
            if target.exists() and target.stat().st_size > size:
                target.unlink()
            with target.open("ab") as out, fs.open(source, "rb", cache_type="none") as stream:
                stream.seek(out.tell())
                while chunk := stream.read(_CHUNK_BYTES):
                    out.write(chunk)
        except Exception as error:  # noqa: BLE001 - file systems raise what their libraries do
            problem = error
            continue
        if target.stat().st_size == size:
            return
        problem = EOFError(f"{target.stat().st_size:,} of {size:,} bytes came")
    raise DownloadError(
        f"model '{url}': {source}: cannot be fetched: {type(problem).__name__}: {problem}"
    )


def _whole(target: Path) -> bool:
    """Whether a folder has been fetched, and its files are still what they were."""
    try:
        sums = json.loads((target / _SUMS).read_text(encoding="utf-8"))
        return all(_digest(target / name) == digest for name, digest in sums.items())
    except (OSError, ValueError):
        return False


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let two processes take turns."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield

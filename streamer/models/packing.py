"""A version made ready for a registry, and written there so that nobody ever sees half of it."""

import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from streamer.errors import ConfigError
from streamer.models.fetch import Remote, sha256_of
from streamer.models.graph import read_graph
from streamer.models.location import MANIFEST
from streamer.models.version import Version

# Code, and weights that are pickled: never loaded, so that a version need not carry them.
_NOT_KEPT = (".bin", ".ckpt", ".joblib", ".msgpack", ".pickle", ".pkl", ".pth", ".py")
_LEFT_OVER_S = 24 * 3600


@dataclass(frozen=True)
class Packed:
    """What is to be written.

    Attributes:
        name: the model.
        version: its version.
        folder: where the files are.
        files: by name below the folder, their checksums.
        manifest: the content of `model.yaml`.
    """

    name: str
    version: str
    folder: Path
    files: Mapping[str, str]
    manifest: bytes


def pack(
    version: Version,
    *,
    name: str | None = None,
    number: str | None = None,
    metrics: Mapping[str, Any] | None = None,
    lineage: Mapping[str, Any] | None = None,
) -> Packed:
    """Take up a version's files with their checksums, and write its manifest anew.

    Args:
        version: what is to be added: a folder with a manifest, or one that could be read without.
        name: the model's name in the registry; the manifest's if left out.
        number: its version there; the manifest's if left out.
        metrics: figures that go over those of the manifest.
        lineage: where it comes from, the same.
    """
    files = {file: sha256_of(version.folder / file) for file in files_of(version)}
    manifest = version.manifest
    content = described(version)
    content |= {
        "name": name or manifest.name,
        "version": number or manifest.version,
        "files": files,
    }
    for key, more in (("metrics", metrics), ("lineage", lineage)):
        if more:
            content[key] = {**content.get(key, {}), **more}
    written = yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode()
    return Packed(content["name"], content["version"], version.folder, files, written)


def next_version(versions: list[str]) -> str:
    """Give the number behind the highest one that is a whole number."""
    return str(max((int(one) for one in versions if one.isdigit()), default=0) + 1)


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Give a folder to be filled, which gets the target's name at the end, or goes if that fails.

    Raises:
        ConfigError: it cannot be made there.
    """
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written: {error.strerror or error}") from error
    try:
        yield part
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def publish_locally(packed: Packed, root: Path) -> None:
    """Copy a version beside its place, put it onto the disk, and give it its name in one step.

    Raises:
        ConfigError: there is such a version already, or the folder cannot be written.
    """
    target = root / packed.name / packed.version
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        part.mkdir(parents=True)
        _forget_left_overs(target)
        for file in packed.files:
            copy = part / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(packed.folder / file, copy)
            _to_disk(copy)
        (part / MANIFEST).write_bytes(packed.manifest)
        _to_disk(part / MANIFEST)
        part.rename(target)
        _to_disk(target.parent)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        if target.exists():
            raise _there(str(target)) from error
        raise ConfigError(f"{target}: cannot be written: {error.strerror or error}") from error


def publish_remotely(packed: Packed, remote: Remote) -> None:
    """Upload a version's files, the manifest last: without it there is no version.

    Files that an upload before has left are written again.

    Raises:
        ConfigError: there is such a version already.
    """
    version = f"{packed.name}/{packed.version}"
    manifest = f"{version}/{MANIFEST}"
    if remote.exists(manifest):
        raise _there(f"{remote.url}/{version}")
    for file in packed.files:
        target = remote.path(f"{version}/{file}")
        remote.fs.makedirs(target.rpartition("/")[0], exist_ok=True)
        remote.fs.put_file(str(packed.folder / file), target)
    try:
        remote.fs.pipe_file(remote.path(manifest), packed.manifest, mode="create")
    except FileExistsError as error:
        raise _there(f"{remote.url}/{version}") from error


def files_of(version: Version) -> list[str]:
    """Name the files of a version: all in its folder, or the bare file with its weights."""
    folder = version.folder
    if not version.manifest.files and not any(
        (folder / name).is_file() for name in (MANIFEST, "config.json")
    ):
        file = version.file
        weights = read_graph(file).external if file.suffix == ".onnx" else ()
        return [file.relative_to(folder).as_posix(), *weights]
    found = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    named = (file for file in found if not any(part.startswith(".") for part in file.parts))
    return sorted(
        file.as_posix()
        for file in named
        if file.as_posix() != MANIFEST
        and (file.suffix not in _NOT_KEPT or version.folder / file == version.file)
    )


def described(version: Version) -> dict[str, Any]:
    """Give the content of a version's `model.yaml`, or of the one that it would have."""
    file = version.folder / MANIFEST
    if file.is_file():
        read: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
        return read
    return version.manifest.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _there(place: str) -> ConfigError:
    return ConfigError(f"{place}: is there already; versions never change: choose another number")


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _forget_left_overs(target: Path) -> None:
    """Remove what writers have left that were killed long ago."""
    for left in target.parent.glob(f".{target.name}.*.part"):
        if time.time() - left.stat().st_mtime > _LEFT_OVER_S:
            shutil.rmtree(left, ignore_errors=True)

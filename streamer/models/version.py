"""A model version: its directory, what its manifest says, and its files, verified."""

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from streamer.config.files import explained, load_section
from streamer.config.options import TaskOptions
from streamer.errors import ConfigError, ModelError
from streamer.models.adapted import adapted
from streamer.models.files import described_file, inside, looked_at, main_file
from streamer.models.guess import guessed
from streamer.models.huggingface import from_huggingface
from streamer.models.labels import labels_beside, read_labels
from streamer.models.location import (
    CONFIGS,
    MANIFEST,
    REGISTRY,
    Folders,
    locate,
    newest_version,
)
from streamer.models.manifest import Manifest, TextInput
from streamer.models.sources import brought, is_elsewhere
from streamer.models.sources.mlflow import DESCRIPTION, model_in
from streamer.tasks import task_named

_SUM = re.compile(r"sha256:([0-9a-f]{64})")
_CHUNK_BYTES = 2**20
_LABELLED = ("classification", "detection")


@dataclass(frozen=True)
class Version:
    """A version of a model, ready to be opened.

    Attributes:
        folder: where its files are.
        manifest: what it is; its name and version are here.
        file: the model file.
    """

    folder: Path
    manifest: Manifest
    file: Path


def load_version(  # noqa: PLR0913 - what a topology may say of a model
    uri: str,
    *,
    beside: Path,
    models_dir: Path,
    task: str | None = None,
    registry: Folders | None = None,
    options: TaskOptions | None = None,
    cache: Path | None = None,
) -> Version:
    """Find a version, read or guess its manifest, and verify its files.

    Args:
        uri: a directory with `model.yaml`, a directory of versions (the newest is taken), a bare
            model file, a Hugging Face folder, a SavedModel, `registry:NAME[@VERSION]`, or a place
            elsewhere (see `streamer.models.sources`).
        beside: the topology file or its directory; relative uris are looked up there first.
        models_dir: where they are looked up next, and the registry.
        task: what the topology wants of it; decides where the files do not say.
        registry: where `registry:` is looked up; in `models_dir` if left out.
        options: what the topology says of its task, in the place of what the manifest says.
        cache: folder for what is fetched; in the user's cache if left out.

    Raises:
        ConfigError: there is no such model, or its manifest is wrong.
        DownloadError: the model is elsewhere and cannot be fetched just now.
        ModelError: a file is missing or is not what the manifest says, or too little can be read
            off a model that has no manifest.
    """
    if task is not None:
        task_named(task)
    found = located(uri, beside=beside, models_dir=models_dir, registry=registry, cache=cache)
    if found.is_dir() and (found / MANIFEST).is_file():
        version = _described(found)
        picked = uri.startswith(REGISTRY) or Path(uri).name not in (found.name, MANIFEST)
        if picked and not _is_remote(uri) and found.name != version.manifest.version:
            raise ModelError(
                f"{found / MANIFEST}: version: '{version.manifest.version}' stands in a directory "
                f"of versions as '{found.name}'; the two must be the same"
            )
    else:
        version = _bare(found, task)
    manifest = version.manifest
    if task is not None and task != manifest.task:
        if manifest.task not in task_named(task).served_by:
            raise ConfigError(
                f"model '{uri}': the topology wants the task '{task}', the model is for "
                f"'{manifest.task}'"
            )
        manifest = manifest.model_copy(update={"task": task})
    if options is not None:
        manifest = adapted(manifest, options)
    return replace(version, manifest=manifest)


def located(
    uri: str,
    *,
    beside: Path,
    models_dir: Path,
    registry: Folders | None = None,
    cache: Path | None = None,
) -> Path:
    """Find the folder of a version, or the bare model file, and bring it here if it is elsewhere.

    Raises:
        ConfigError: there is no such model.
        DownloadError: it is elsewhere and cannot be fetched just now.
    """
    if not _is_remote(uri):
        return locate(uri, beside=beside, models_dir=models_dir, registry=registry)
    found = brought(uri, cache)
    return newest_version(found) if found.is_dir() else found


def _is_remote(uri: str) -> bool:
    return is_elsewhere(uri) and not uri.startswith(REGISTRY)


def _described(folder: Path) -> Version:
    manifest = _labelled(load_section(folder / MANIFEST, Manifest), folder)
    try:
        task_named(manifest.task)
    except ConfigError as error:
        raise ConfigError(f"{folder / MANIFEST}: task: {error}") from error
    for name, checksum in manifest.files.items():
        _verify(folder, name, checksum)
    for tensor in manifest.inputs.values():
        if isinstance(tensor, TextInput) and tensor.tokenizer is not None:
            inside(folder, tensor.tokenizer)
    file = described_file(folder, manifest)
    looked_at(file)
    return Version(folder=folder, manifest=manifest, file=file)


def _labelled(manifest: Manifest, folder: Path) -> Manifest:
    """Read the file that labels are in, if they are in one."""
    if manifest.labels is None:
        return manifest
    if manifest.id2label:
        raise ModelError(f"{folder / MANIFEST}: write labels or id2label, not both")
    return _with_labels(manifest, inside(folder, manifest.labels))


def _with_labels(manifest: Manifest, file: Path) -> Manifest:
    labels, parents = read_labels(file)
    told = manifest.model_dump(exclude_unset=True)
    told |= {"id2label": labels, "parents": {**parents, **manifest.parents}}
    try:
        return Manifest.model_validate({**told, "labels": None})
    except ValidationError as error:
        raise ModelError(explained(error, Manifest, str(file), {})) from error


def _names_labels(manifest: Manifest) -> bool:
    """Whether a model brings names of its own for what it tells apart."""
    nameless = all(label == f"LABEL_{index}" for index, label in manifest.id2label.items())
    return not (nameless and manifest.task.endswith(_LABELLED))


def _bare(found: Path, task: str | None) -> Version:
    """Read a model that nobody has described, as far as its files tell."""
    if found.is_dir() and (found / DESCRIPTION).is_file():
        found = model_in(found)
    folder = found if found.is_dir() else found.parent
    file = found if found.is_file() else main_file(folder)
    graph = looked_at(file)
    if any((folder / name).is_file() for name in CONFIGS):
        manifest = from_huggingface(folder, file, graph, task)
    else:
        manifest = guessed(file, graph, task)
    beside = labels_beside(folder / file.name)
    if beside is not None and not _names_labels(manifest):
        manifest = _with_labels(manifest, beside)
    return Version(folder=folder, manifest=manifest, file=file)


def _verify(folder: Path, name: str, checksum: str) -> None:
    file = inside(folder, name)
    match = _SUM.fullmatch(checksum.lower())
    if match is None:
        raise ModelError(
            f"{folder / MANIFEST}: files.{name}: write sha256: and 64 hexadecimal digits; "
            f"got '{checksum}'"
        )
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror or error}") from error
    if digest.hexdigest() != match[1]:
        raise ModelError(
            f"{file}: is not the file that {MANIFEST} names: its sha256 is {digest.hexdigest()}, "
            f"listed is {match[1]}"
        )

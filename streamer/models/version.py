"""A model version: its directory, what its manifest says, and its files, verified."""

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath

from streamer.config.files import load_section
from streamer.config.options import TaskOptions
from streamer.errors import ConfigError, ModelError
from streamer.models.adapted import adapted
from streamer.models.graph import Graph, read_graph
from streamer.models.guess import guessed
from streamer.models.huggingface import from_huggingface
from streamer.models.location import CONFIGS, MANIFEST, SUFFIXES, locate
from streamer.models.manifest import Manifest, TextInput
from streamer.tasks import task_named

_SUM = re.compile(r"sha256:([0-9a-f]{64})")
_CHUNK_BYTES = 2**20


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


def load_version(
    uri: str,
    *,
    beside: Path,
    models_dir: Path,
    task: str | None = None,
    options: TaskOptions | None = None,
) -> Version:
    """Find a version, read or guess its manifest, and verify its files.

    Args:
        uri: a directory with `model.yaml`, a directory of versions (the newest is taken), a bare
            `.onnx`, a Hugging Face folder, `registry:NAME` or `registry:NAME@VERSION`.
        beside: the topology file or its directory; relative uris are looked up there first.
        models_dir: where they are looked up next, and the registry.
        task: what the topology wants of it; decides where the files do not say.
        options: what the topology says of its task, in the place of what the manifest says.

    Raises:
        ConfigError: there is no such model, or its manifest is wrong.
        ModelError: a file is missing or is not what the manifest says, or too little can be read
            off a model that has no manifest.
    """
    if task is not None:
        task_named(task)
    found = locate(uri, beside=beside, models_dir=models_dir)
    if found.is_dir() and (found / MANIFEST).is_file():
        version = _described(found)
        picked = uri.startswith("registry:") or Path(uri).name not in (found.name, MANIFEST)
        if picked and found.name != version.manifest.version:
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


def _described(folder: Path) -> Version:
    manifest = load_section(folder / MANIFEST, Manifest)
    try:
        task_named(manifest.task)
    except ConfigError as error:
        raise ConfigError(f"{folder / MANIFEST}: task: {error}") from error
    for name, checksum in manifest.files.items():
        _verify(folder, name, checksum)
    for tensor in manifest.inputs.values():
        if isinstance(tensor, TextInput) and tensor.tokenizer is not None:
            _inside(folder, tensor.tokenizer)
    file = _model_file(folder, manifest)
    if file.suffix == ".onnx":
        _checked_graph(file)
    return Version(folder=folder, manifest=manifest, file=file)


def _bare(found: Path, task: str | None) -> Version:
    folder = found if found.is_dir() else found.parent
    hugging_face = any((folder / name).is_file() for name in CONFIGS)
    file = found if found.is_file() else _onnx_in(folder)
    if file.suffix != ".onnx":
        raise ModelError(f"{file}: only .onnx files go without a {MANIFEST} beside them")
    graph = _checked_graph(file)
    if hugging_face:
        manifest = from_huggingface(folder, file, graph, task)
    else:
        manifest = guessed(file, graph, task)
    return Version(folder=folder, manifest=manifest, file=file)


def _onnx_in(folder: Path) -> Path:
    for name in ("model.onnx", "onnx/model.onnx"):
        if (folder / name).is_file():
            return folder / name
    files = sorted(folder.glob("*.onnx"))
    if len(files) != 1:
        raise ModelError(f"{folder}: has no model.onnx and no onnx/model.onnx")
    return files[0]


def _model_file(folder: Path, manifest: Manifest) -> Path:
    names = [name for name in manifest.files if PurePosixPath(name).suffix in SUFFIXES]
    if not names:
        names = sorted(
            file.name for file in folder.iterdir() if file.suffix in SUFFIXES and file.is_file()
        )
    preferred = [name for name in names if PurePosixPath(name).stem == "model"] or names
    if len(preferred) != 1:
        seen = f"found {', '.join(names)}" if names else "found no model file"
        raise ModelError(
            f"{folder / MANIFEST}: files: name the one model file, as in "
            f"{{model.onnx: sha256:…}}; {seen}"
        )
    return _inside(folder, preferred[0])


def _inside(folder: Path, name: str) -> Path:
    """Give the path of a file that a manifest names; it must not lead out of the folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive or "\\" in name:
        raise ModelError(f"{folder / MANIFEST}: '{name}' leads out of the model's directory")
    if not (folder / name).is_file():
        raise ModelError(f"{folder / MANIFEST}: there is no file '{name}' in {folder}")
    return folder / name


def _verify(folder: Path, name: str, checksum: str) -> None:
    file = _inside(folder, name)
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


def _checked_graph(file: Path) -> Graph:
    """Refuse a graph that reads weights from outside its directory."""
    graph = read_graph(file)
    for name in graph.external:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive:
            raise ModelError(f"{file}: reads weights from '{name}', outside its directory")
        if not (file.parent / name).is_file():
            raise ModelError(f"{file}: its weights are in '{name}', which is not beside it")
    return graph

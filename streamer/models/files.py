"""The files of a model: which of them is the model, and that none leads out of its folder."""

from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal

from streamer.errors import ModelError
from streamer.models.content import PICKLED, outside
from streamer.models.graph import Graph
from streamer.models.location import MANIFEST, SUFFIXES
from streamer.models.manifest import Manifest
from streamer.models.weights import refuse_nan

Twin = Literal["int8", "fp16"]
"""A precision that a model file may have a twin in."""

INDEX = "model.safetensors.index.json"
# Read only where the topology allows it; see `allow_bin` there.
BIN = "pytorch_model.bin"
_TWINS = (".int8", ".fp16")
_STEMS = ("model", "saved_model")
# Folders of a version that hold files for its verification and for its successors.
_BESIDE = ("golden", "trainable")
# What TensorFlow writes beside a SavedModel.
_NOTES = ("fingerprint.pb", "keras_metadata.pb")
_PREFERRED = (
    "model.onnx",
    "onnx/model.onnx",
    "model.safetensors",
    INDEX,
    "saved_model.pb",
)
_ALONE = (
    "*.onnx",
    "*.pt2",
    "*.tflite",
    "*.pt",
    "*.ts",
    "*.torchscript",
    "*.pb",
    "*.safetensors",
)


def main_file(folder: Path) -> Path:
    """Find the model file in a folder without a manifest.

    Raises:
        ModelError: there is none, or there are several.
    """
    for name in _PREFERRED:
        if (folder / name).is_file():
            return folder / name
    for pattern in _ALONE:
        found = sorted(file for file in folder.glob(pattern) if file.is_file())
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(file.name for file in found)
            raise ModelError(f"{folder}: has several models: {names}; name the file that is meant")
    if (folder / BIN).is_file():
        return folder / BIN
    if (folder / PICKLED).is_file():
        return folder / PICKLED
    raise ModelError(f"{folder}: has no model.onnx, onnx/model.onnx or model.safetensors")


def described_file(folder: Path, manifest: Manifest) -> Path:
    """Find the model file in a folder with a manifest.

    Raises:
        ModelError: there is none, or it is not said which of several it is.
    """
    if INDEX in manifest.files or (not manifest.files and (folder / INDEX).is_file()):
        return inside(folder, INDEX)
    names = [name for name in manifest.files if _may_be_model(name)]
    if not names:
        names = sorted(
            file.name for file in folder.iterdir() if _may_be_model(file.name) and file.is_file()
        )
    if not names and (folder / BIN).is_file():
        return inside(folder, BIN)
    preferred = [name for name in names if PurePosixPath(name).stem in _STEMS] or names
    if len(preferred) != 1:
        seen = f"found {', '.join(names)}" if names else "found no model file"
        raise ModelError(
            f"{folder / MANIFEST}: files: name the one model file, as in "
            f"{{model.onnx: sha256:…}}; {seen}"
        )
    return inside(folder, preferred[0])


def twin_of(file: Path, precision: str) -> Path:
    """Say where a model file's twin of fewer bits is, which `streamer models quantize` makes."""
    return file.with_suffix(f".{precision}{file.suffix}")


def _may_be_model(name: str) -> bool:
    path = PurePosixPath(name)
    if PurePosixPath(path.stem).suffix in _TWINS:
        return False
    return path.suffix in SUFFIXES and path.parts[0] not in _BESIDE and path.name not in _NOTES


def looked_at(file: Path) -> Graph:
    """Read the outside of a model file and refuse what must not be loaded.

    Raises:
        ModelError: it is not what its name says, reads from outside of its folder, or holds NaN.
    """
    graph = Graph((), (), {}, (), ()) if file.name == BIN else outside(file)
    for name in graph.external:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive:
            raise ModelError(f"{file}: reads weights from '{name}', outside its directory")
        if not (file.parent / name).is_file():
            raise ModelError(f"{file}: its weights are in '{name}', which is not beside it")
        if not _stays(file.parent, file.parent / name):
            raise ModelError(
                f"{file}: reads weights from '{name}', a link that leads outside its directory"
            )
    refuse_nan(file)
    return graph


def inside(folder: Path, name: str) -> Path:
    """Give the path of a file that a manifest names; it must not lead out of the folder.

    Raises:
        ModelError: it leads out of it, or is not there.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive or "\\" in name:
        raise ModelError(f"{folder / MANIFEST}: '{name}' leads out of the model's directory")
    if not (folder / name).is_file():
        raise ModelError(f"{folder / MANIFEST}: there is no file '{name}' in {folder}")
    if not _stays(folder, folder / name):
        raise ModelError(
            f"{folder / MANIFEST}: '{name}' is a link that leads out of the model's directory"
        )
    return folder / name


def _stays(folder: Path, file: Path) -> bool:
    """Whether a file is within a folder, links followed.

    The hub's cache keeps the files of a snapshot beside it, under their digests.
    """
    root, target = folder.resolve(), file.resolve()
    snapshot = next((place for place in (root, *root.parents) if _is_snapshot(place)), None)
    if snapshot is not None and target.is_relative_to(snapshot.parents[1] / "blobs"):
        return True
    return target.is_relative_to(root)


def _is_snapshot(place: Path) -> bool:
    return place.parent.name == "snapshots" and place.parents[1].name.startswith("models--")

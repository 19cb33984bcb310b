"""A folder of weights made into a version with an ONNX file."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from streamer.config import Settings
from streamer.errors import ConfigError, ModelError
from streamer.graphs import export
from streamer.graphs.module import load_module
from streamer.graphs.samples import shapes_of
from streamer.models.huggingface.network import network
from streamer.models.location import MANIFEST
from streamer.models.packing import files_of, new_folder, pack
from streamer.models.registry import open_registry
from streamer.models.version import Version, load_version

_TRAINABLE = "trainable"
_WEIGHTS = (".safetensors", ".onnx", ".bin", ".pt", ".h5", ".msgpack")


def export_model(
    source: str, target: Path, task: str | None, settings: Settings, *, trainable: bool = False
) -> int:
    """Write a folder with an ONNX model and its manifest; give the exit code.

    Args:
        source: folder of transformers or timm.
        target: folder that is written; must not be there.
        task: what it is for, where the files do not say.
        settings: where models are.
        trainable: whether the weights are kept beside it, for retraining to go on from.

    Raises:
        ConfigError: there is no such model, the folder is there already, or cannot be made.
        ModelError: the model cannot be exported so that it answers as before.
    """
    target = target.absolute()
    if target.exists():
        raise ConfigError(f"--to: {target} is there already; versions never change")
    version = load_version(
        source,
        beside=Path.cwd(),
        models_dir=settings.models.dir,
        task=task,
        registry=open_registry(settings.models),
        cache=settings.models.cache,
    )
    config_file = version.file.parent / "config.json"
    if ".safetensors" not in version.file.name or not config_file.is_file():
        raise ConfigError(
            f"{version.file}: only folders of transformers and timm are exported, those with "
            "config.json and safetensors"
        )
    config = json.loads(config_file.read_text(encoding="utf-8"))
    manifest = version.manifest
    graph = network(config, manifest.task)
    shapes = shapes_of(manifest, config)
    module = load_module(version.file.parent, graph, manifest.task)
    try:
        with new_folder(target) as part:
            done = export(module, shapes, part / "model.onnx")
            _copy_companions(version, part)
            if trainable:
                _copy_weights(version.file, part / _TRAINABLE)
            lineage = {
                "source": source,
                "source_version": manifest.version,
                "library": module.origin,
                "exporter": f"{done.exporter}, torch {_torch_version()}",
                "compared": list(done.told),
                "difference": float(f"{done.difference:.2g}"),
                "exported": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            written = load_version(str(part), beside=part, models_dir=part, task=manifest.task)
            packed = pack(written, name=manifest.name, lineage=lineage)
            (part / MANIFEST).write_bytes(packed.manifest)
            load_version(str(part), beside=part, models_dir=part)
    except ModelError as error:
        raise ModelError(f"{source}: {error}") from error
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{target}: {manifest.task}, by {done.exporter}")
    console.print(
        f"compared with {module.origin} on {len(done.told)} batches ({done.told[0]} to "
        f"{done.told[-1]}): {done.difference:.1g} apart at the most"
    )
    return 0


def _copy_companions(version: Version, folder: Path) -> None:
    """Copy what describes the model: configuration, tokenizer, labels."""
    for name in files_of(version):
        if not name.endswith(_WEIGHTS) and not name.endswith(".index.json"):
            copy = folder / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(version.folder / name, copy)


def _copy_weights(file: Path, folder: Path) -> None:
    """Copy what retraining goes on from.

    Raises:
        ConfigError: the weights are in several files.
    """
    if file.name != "model.safetensors":
        raise ConfigError(f"--trainable: {file}: only weights in one model.safetensors are kept")
    folder.mkdir()
    for name in (file.name, "config.json"):
        shutil.copyfile(file.parent / name, folder / name)


def _torch_version() -> str:
    from importlib.metadata import version

    return version("torch")

"""A model brought into the registry: read, tried, and written as a version that never changes."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from streamer.config import Settings
from streamer.config.files import load_section
from streamer.errors import ConfigError, RecordError
from streamer.models.golden import FOLDER
from streamer.models.graph import read_graph
from streamer.models.location import MANIFEST
from streamer.models.manifest import Manifest, TextInput
from streamer.models.packing import described, files_of, next_version, pack
from streamer.models.registry import open_registry
from streamer.models.version import Version, load_version, located
from streamer.operate.entries import JSON, Entry, entries, found_files
from streamer.operate.trial import sampled
from streamer.pipeline import Predictor

_MOST_GOLDEN = 1000


@dataclass(frozen=True)
class Addition:
    """What is to be added.

    Attributes:
        source: uri of the model.
        name: in the registry; its own if None.
        version: there; the next number if None.
        task: what it does, if its files do not say.
        manifest: a `model.yaml` for a model without one.
        golden: files whose answers are kept with the version, and asked for before it serves.
        untried: whether it is added without being loaded.
    """

    source: str
    name: str | None = None
    version: str | None = None
    task: str | None = None
    manifest: Path | None = None
    golden: tuple[Path, ...] = ()
    untried: bool = False


def add_model(addition: Addition, settings: Settings) -> int:
    """Write a model into the registry; give the exit code.

    Raises:
        ConfigError: there is no such model, or there is such a version already.
        DownloadError: it is elsewhere and cannot be fetched.
        ModelError: it cannot be loaded, or too little is known of it.
    """
    if addition.untried and addition.golden:
        raise ConfigError("--golden asks the model for answers: leave --untried out")
    registry = open_registry(settings.models)
    with tempfile.TemporaryDirectory(prefix="streamer-") as place:
        version = _staged(addition, settings, Path(place) / "model")
        name = addition.name or version.manifest.name
        number = addition.version or next_version(registry.versions(name))
        if not addition.untried:
            _try(version, found_files(addition.golden), settings)
        lineage = {
            "source": re.sub(r"//[^/@]*@", "//", addition.source),  # without a password
            "source_version": version.manifest.version,
            "added": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        packed = pack(version, name=name, number=number, lineage=lineage)
        written = registry.add(packed)
    told = f"{packed.name} {written}: {version.manifest.task}, {len(packed.files)} files"
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{told} with checksums, in {registry.place}")
    console.print(f"in a topology: registry:{packed.name}, or registry:{packed.name}@{written}")
    return 0


def _staged(addition: Addition, settings: Settings, folder: Path) -> Version:
    """Put together what the version will consist of, under the manifest that it will have."""
    places: dict[str, Any] = {
        "beside": Path.cwd(),
        "models_dir": settings.models.dir,
        "registry": open_registry(settings.models),
        "cache": settings.models.cache,
    }
    if addition.manifest is None:
        version = load_version(addition.source, task=addition.task, **places)
        _copy(version.folder, files_of(version), folder)
        written = yaml.safe_dump(described(version), sort_keys=False, allow_unicode=True)
        (folder / MANIFEST).write_text(written, encoding="utf-8")
        file = folder / version.file.relative_to(version.folder)
        return replace(version, folder=folder, file=file)
    if not addition.manifest.is_file():
        raise ConfigError(f"--manifest: there is no file {addition.manifest}")
    found = located(addition.source, **places)
    below = _with_companions(found, addition.manifest) if found.is_file() else _visible(found)
    _copy(found.parent if found.is_file() else found, below, folder)
    shutil.copyfile(addition.manifest, folder / MANIFEST)
    return load_version(str(folder), task=addition.task, **places)


def _with_companions(file: Path, manifest: Path) -> list[str]:
    """Name a bare file, its weights, and what a manifest names that lies beside it."""
    told = load_section(manifest, Manifest)
    named = [told.labels, *told.files]
    named += [given.tokenizer for given in told.inputs.values() if isinstance(given, TextInput)]
    weights = read_graph(file).external if file.suffix == ".onnx" else ()
    there = [name for name in named if name and (file.parent / name).is_file()]
    return list(dict.fromkeys([file.name, *weights, *there]))


def _visible(folder: Path) -> list[str]:
    found = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return [str(file) for file in found if not any(part.startswith(".") for part in file.parts)]


def _copy(folder: Path, files: Sequence[str], target: Path) -> None:
    """Copy files, by a second name where the file system can: models are large."""
    for name in files:
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link((folder / name).resolve(), copy)
        except OSError:
            shutil.copyfile(folder / name, copy)


def _try(version: Version, golden: Sequence[Path], settings: Settings) -> None:
    """Load the version, and keep its answers to golden records with it.

    Raises:
        ModelError: it cannot be loaded.
        ConfigError: it cannot answer a golden record.
    """
    predictor = Predictor.open(str(version.folder), settings)
    try:
        given = list(entries(golden))
        if len(given) > _MOST_GOLDEN:
            raise ConfigError(f"--golden: {len(given)} records; {_MOST_GOLDEN} are plenty")
        samples = []
        for entry in given:
            sample = sampled(entry, predictor.kinds)
            if isinstance(sample, RecordError):
                raise ConfigError(f"--golden: {entry.origin}: {sample}")
            samples.append(sample)
        outputs = predictor.predict(samples)
    finally:
        predictor.close()
    lines = []
    for number, (entry, output) in enumerate(zip(given, outputs, strict=True)):
        if isinstance(output, RecordError):
            raise ConfigError(f"--golden: {entry.origin}: {output}")
        kept = _kept(entry, version.folder / FOLDER, number)
        lines.append(json.dumps({**kept, "output": output}, ensure_ascii=False) + "\n")
    if lines:
        (version.folder / FOLDER).mkdir(exist_ok=True)
        (version.folder / FOLDER / "records.jsonl").write_text("".join(lines), encoding="utf-8")


def _kept(entry: Entry, folder: Path, number: int) -> dict[str, Any]:
    """Keep a record the way golden records are read: a picture as a file beside them."""
    if entry.is_picture:
        folder.mkdir(exist_ok=True)
        name = f"{number}{Path(entry.origin).suffix.lower()}"
        (folder / name).write_bytes(entry.value)
        return {"file": name}
    if entry.content_type == JSON:
        fields = entry.fields()
        names = ("sentence1", "sentence2") if "sentence1" in fields else ("text",)
        if not all(name in fields for name in names):
            raise ConfigError(f"--golden: {entry.origin}: write text, or sentence1 and sentence2")
        return {name: fields[name] for name in names}
    text = entry.value.decode("utf-8", "replace")
    first, tab, second = text.partition("\t")
    return {"sentence1": first, "sentence2": second} if tab else {"text": text}

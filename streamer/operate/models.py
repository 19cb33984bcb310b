"""What models there are, and what one of them is."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from streamer.config import Settings
from streamer.config.files import load_section
from streamer.errors import ConfigError, ModelError, StreamerError
from streamer.models.location import MANIFEST, is_version, version_order
from streamer.models.manifest import (
    ImageBytesInput,
    ImageInput,
    ImageSizeInput,
    Input,
    Manifest,
    TextInput,
)
from streamer.models.registry import LocalRegistry, Registry, open_registry
from streamer.models.version import Version, load_version
from streamer.operate.fleet import print_in_service

_MOST_LABELS = 20
_PIPED_WIDTH = 200


def list_models(settings: Settings) -> int:
    """Print a table of the versions in the models' folder; give the exit code.

    Raises:
        ConfigError: there is no such folder.
    """
    registry = open_registry(settings.models)
    if not isinstance(registry, LocalRegistry):
        _list_remote(registry, settings)
        return 0
    folder = Path(registry.place)
    if not folder.is_dir():
        key = "dir" if settings.models.registry is None else "registry"
        raise ConfigError(
            f"models.{key}: {folder}: there is no such folder (STREAMER_MODELS__{key.upper()})"
        )
    table = Table(box=None, header_style="bold")
    unreadable: list[str] = []
    for head in ("model", "version", "task", "labels", "size", "figures"):
        table.add_column(head, justify="right" if head in ("labels", "size") else "left")
    for place in versions_in(folder):
        try:
            table.add_row(*_row(place, folder))
        except StreamerError as error:
            told = str(error).splitlines()[0].removeprefix(f"{place.absolute()}/")
            unreadable.append(f"{place.relative_to(folder)}: {told}")
    _print_list(table, unreadable, registry, settings)
    return 0


def _list_remote(registry: Registry, settings: Settings) -> None:
    """Print a table of the versions in a registry behind a URL, by their manifests."""
    table = Table("model", "version", "task", "labels", "figures", box=None, header_style="bold")
    unreadable: list[str] = []
    for name in registry.names():
        for version in registry.versions(name):
            try:
                manifest = registry.manifest(name, version)
            except (ConfigError, ModelError) as error:
                unreadable.append(f"{name} {version}: {str(error).splitlines()[0]}")
                continue
            labels = str(len(manifest.id2label)) if manifest.id2label else ""
            table.add_row(name, version, manifest.task, labels, _figures(manifest))
    _print_list(table, unreadable, registry, settings)


def _print_list(
    table: Table, unreadable: list[str], registry: Registry, settings: Settings
) -> None:
    """Print what was found in a registry, what could not be read of it, and what serves."""
    console = _console()
    if table.row_count:
        console.print(table)
    for told in unreadable:
        console.print(f"not readable: {told}", style="red", markup=False, soft_wrap=True)
    if not table.row_count and not unreadable:
        console.print(f"{registry.place}: no models here")
    print_in_service(settings, console)


def versions_in(folder: Path) -> Iterator[Path]:
    """Give the versions below a folder: `NAME`, or `NAME/VERSION` in the order of versions."""
    found = (child for child in folder.iterdir() if not child.name.startswith("."))
    for place in sorted(child for child in found if child.is_dir()):
        if is_version(place):
            yield place
        else:
            found = (child for child in place.iterdir() if not child.name.startswith("."))
            versions = [child for child in found if child.is_dir() and is_version(child)]
            yield from sorted(versions, key=lambda version: version_order(version.name))


def show_model(uri: str, settings: Settings) -> int:
    """Print what a model version is; give the exit code.

    Raises:
        ConfigError: there is no such model, or its manifest is wrong.
        ModelError: its files are not what the manifest says.
    """
    version = load_version(
        uri,
        beside=Path.cwd(),
        models_dir=settings.models.dir,
        registry=open_registry(settings.models),
        cache=settings.models.cache,
    )
    console = _console()
    table = Table(box=None, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, text in described(version):
        table.add_row(name, text)
    console.print(table)
    return 0


def described(version: Version) -> Iterator[tuple[str, str]]:
    """Tell a version in pairs of name and text."""
    manifest = version.manifest
    yield "model", f"{manifest.name} {manifest.version}"
    if manifest.description:
        yield "about", manifest.description
    yield "task", manifest.task
    yield "file", f"{version.file} ({_size(version.file.stat().st_size)})"
    for tensor, given in manifest.inputs.items():
        yield f"input {tensor}", _input(given)
    for tensor, read in manifest.outputs.items():
        yield f"output {tensor}", _keys(read.model_dump(exclude_defaults=True))
    labels = list(manifest.id2label.values())
    if labels:
        more = f" and {len(labels) - _MOST_LABELS} more" if len(labels) > _MOST_LABELS else ""
        yield f"{len(labels)} labels", ", ".join(labels[:_MOST_LABELS]) + more
    for name in ("postprocess", "metrics", "lineage"):
        section = getattr(manifest, name)
        told = (
            section
            if isinstance(section, Mapping)
            else section.model_dump(exclude_none=True, exclude_defaults=True)
        )
        if told:
            yield name, _keys(told)
    if manifest.license:
        yield "licence", manifest.license
    yield "files", f"{len(manifest.files)} verified" if manifest.files else "without checksums"


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH, highlight=False)


def _row(place: Path, folder: Path) -> tuple[str, ...]:
    """Make a version's line.

    Raises:
        StreamerError: it cannot be read.
    """
    name = place.relative_to(folder)
    manifest = _manifest(place, folder)
    size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    labels = str(len(manifest.id2label)) if manifest.id2label else ""
    return str(name), manifest.version, manifest.task, labels, _size(size), _figures(manifest)


def _figures(manifest: Manifest) -> str:
    return _keys({key: told for key, told in manifest.metrics.items() if _is_figure(told)})


def _manifest(place: Path, folder: Path) -> Manifest:
    """Read the manifest alone: a list need not verify every file."""
    if (place / MANIFEST).is_file():
        return load_section(place / MANIFEST, Manifest)
    return load_version(str(place.absolute()), beside=folder, models_dir=folder).manifest


def _is_figure(told: Any) -> bool:
    return isinstance(told, int | float) and not isinstance(told, bool)


def _input(given: Input) -> str:
    if isinstance(given, ImageInput):
        size = given.size.model_dump(exclude_none=True)
        sides = "x".join(str(side) for side in size.values()) or "any size"
        rule = f"{given.channels} {given.dtype} {given.layout}, {sides} by {given.resize_rule}"
        return f"picture, {rule}"
    if isinstance(given, TextInput):
        kind = "pair of texts" if given.pair else "text"
        return f"{kind}, {given.max_length} tokens, as {_keys(given.tensors)}"
    if isinstance(given, ImageBytesInput):
        return f"encoded picture, as {given.dtype}"
    if isinstance(given, ImageSizeInput):
        return f"of each picture: {', '.join(given.values)}"
    return f"always {given.value}"


def _keys(told: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key}: ({_keys(value)})" if isinstance(value, Mapping) else f"{key}: {value}"
        for key, value in told.items()
    )


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:,.1f} kB"  # noqa: PLR2004 - from 100 kB on

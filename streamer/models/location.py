"""From a uri to the file or directory it means."""

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Protocol

from streamer.errors import ConfigError

MANIFEST = "model.yaml"
CONFIGS = ("config.json", "preprocessor_config.json")
_DESCRIBED = ("saved_model.pb", "MLmodel")
_BARE = (".onnx", ".pt2", ".pt", ".ts", ".torchscript", ".tflite", ".pb")
SUFFIXES = (*_BARE, ".safetensors", ".h5", ".keras")
REGISTRY = "registry:"


class Folders(Protocol):
    """What knows the folders of registered versions."""

    def folder(self, name: str, version: str | None = None) -> Path:
        """Give the local folder of a version, the newest if None."""
        ...


def locate(uri: str, *, beside: Path, models_dir: Path, registry: Folders | None = None) -> Path:
    """Find the directory of a version, or the bare model file, that a uri means.

    Raises:
        ConfigError: there is none; says every place looked at.
    """
    if uri.startswith(REGISTRY):
        name, version = registry_name(uri)
        if registry is not None:
            return registry.folder(name, version)
        return registered(name, version, models_dir)
    base = beside.parent if beside.is_file() else beside
    places = [Path(uri).expanduser()] if Path(uri).expanduser().is_absolute() else []
    places = places or list(dict.fromkeys([base / uri, models_dir / uri]))
    for place in places:
        if place.is_file():
            return _known_file(place)
        if place.is_dir():
            return newest_version(place)
    looked = " nor ".join(str(place) for place in places)
    neither = "neither " if len(places) > 1 else ""
    raise ConfigError(
        f"model '{uri}': there is {neither}{looked}{_close(places)}"
        if neither
        else f"model '{uri}': there is no {looked}{_close(places)}"
    )


def newest_version(place: Path) -> Path:
    """Give the directory itself if it is a version, else the newest version in it.

    Raises:
        ConfigError: it is neither.
    """
    if is_version(place):
        return place
    versions = [child for child in place.iterdir() if _is_one_of_versions(child)]
    if not versions:
        raise ConfigError(
            f"{place}: holds no model: expected {MANIFEST}, or one model file, or Hugging Face's "
            "config.json with model.onnx or model.safetensors, or a SavedModel, or a directory "
            "for each version"
        )
    return max(versions, key=lambda version: version_order(version.name))


def version_order(name: str) -> tuple[tuple[int, int, str], ...]:
    """Order versions as people do: 9 before 10, 1.9 before 1.10, words before numbers."""
    parts = re.findall(r"\d+|[^\d._-]+", name)
    return tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts)


def is_version(place: Path) -> bool:
    """Whether a directory holds one model version."""
    if any((place / name).is_file() for name in (MANIFEST, *CONFIGS, *_DESCRIBED)):
        return True
    found = [file for file in place.iterdir() if file.suffix in _BARE and file.is_file()]
    return len(found) == 1


def _is_one_of_versions(child: Path) -> bool:
    """Whether a directory is a version by its manifest, or by its name and what it holds."""
    if child.name.startswith("."):
        return False  # being written, or fetched
    numbered = re.fullmatch(r"v?\d[\w.-]*", child.name) is not None
    return (child / MANIFEST).is_file() or (numbered and child.is_dir() and is_version(child))


def registry_name(uri: str) -> tuple[str, str | None]:
    """Read `registry:NAME` or `registry:NAME@VERSION`.

    Raises:
        ConfigError: it is neither.
    """
    name, at, version = uri.removeprefix(REGISTRY).partition("@")
    bad = not name or "/" in name or name.startswith(".")
    if bad or "/" in version or version.startswith(".") or (at and not version):
        raise ConfigError(f"model '{uri}': write registry:NAME or registry:NAME@VERSION")
    return name, version or None


def registered(name: str, version: str | None, root: Path) -> Path:
    """Find a version in a folder of models, the newest if None.

    Raises:
        ConfigError: there is none.
    """
    uri = f"registry:{name}@{version}" if version else f"registry:{name}"
    place = root / name
    if not place.is_dir():
        raise ConfigError(f"model '{uri}': the registry {root} has no '{name}'{_close([place])}")
    if version is None:
        return newest_version(place)
    if not (place / version).is_dir():
        raise ConfigError(
            f"model '{uri}': the registry {root} has no version '{version}' of '{name}'"
            f"{_known(place)}"
        )
    return newest_version(place / version)


def _known_file(place: Path) -> Path:
    if place.name == MANIFEST:
        return place.parent
    if place.suffix not in SUFFIXES:
        raise ConfigError(
            f"{place}: is no model file that is known here ({', '.join(SUFFIXES)}) and no directory"
        )
    return place


def _close(places: list[Path]) -> str:
    """Name what lies near and is spelt alike."""
    names = [
        near
        for place in places
        if place.parent.is_dir()
        for near in get_close_matches(place.name, _listed(place.parent), n=2, cutoff=0.6)
    ]
    names = list(dict.fromkeys(names))
    return f"; did you mean {' or '.join(repr(name) for name in names)}?" if names else ""


def _known(place: Path) -> str:
    versions = [name for name in _listed(place) if _is_one_of_versions(place / name)]
    versions.sort(key=version_order)
    return f"; it has {', '.join(versions)}" if versions else ""


def _listed(place: Path) -> list[str]:
    try:
        return sorted(child.name for child in place.iterdir() if not child.name.startswith("."))
    except OSError:
        return []

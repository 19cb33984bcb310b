"""The registry: immutable versions as `NAME/VERSION/`, in a folder, behind a URL or in MLflow."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from platformdirs import user_cache_path

from streamer.config.files import load_section
from streamer.config.settings import ModelSettings
from streamer.errors import ConfigError, DownloadError, ModelError
from streamer.models.fetch import Remote, fetched
from streamer.models.location import MANIFEST, is_version, registered, version_order
from streamer.models.manifest import Manifest
from streamer.models.mlflow_registry import SCHEME, MlflowRegistry
from streamer.models.packing import Packed, publish_locally, publish_remotely


class Registry(Protocol):
    """Versions of models; what is in it never changes."""

    place: str

    def names(self) -> list[str]:
        """Give the models that have a version."""
        ...

    def versions(self, name: str) -> list[str]:
        """Give a model's complete versions, oldest first."""
        ...

    def manifest(self, name: str, version: str) -> Manifest:
        """Read what a version says of itself, without its files.

        Raises:
            ConfigError: there is no such version, or its manifest is wrong.
        """
        ...

    def folder(self, name: str, version: str | None = None) -> Path:
        """Give the local folder of a version, fetched where it is not there; the newest if None.

        Raises:
            ConfigError: there is no such version.
            DownloadError: it cannot be fetched just now.
            ModelError: what is there is not what its manifest says.
        """
        ...

    def add(self, packed: Packed) -> str:
        """Write a version; it is there whole, or not at all.

        Returns:
            its number: another one than was asked for where the place numbers versions itself.

        Raises:
            ConfigError: there is such a version already, or the place cannot be written.
        """
        ...

    def resolve(self, name: str, version: str) -> str:
        """Give the version that a word stands for: itself, or what has it as its alias."""
        ...

    def mark(self, name: str, champion: str, candidate: str | None) -> None:
        """Show what serves and what is on trial, where the place has marks for that.

        Raises:
            ConfigError: there is no such model or version.
            DownloadError: the place does not answer.
        """
        ...


class _Unmarked:
    """A place without aliases."""

    def resolve(self, name: str, version: str) -> str:  # noqa: ARG002 - as the protocol has it
        """Give the version."""
        return version

    def mark(self, name: str, champion: str, candidate: str | None) -> None:
        """Do nothing: the deployments topic alone says what serves."""


class LocalRegistry(_Unmarked):
    """A folder; versions are used where they lie."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.place = str(root)

    def names(self) -> list[str]:
        """Give the models that have a version."""
        if not self._root.is_dir():
            return []
        names = sorted(child.name for child in self._root.iterdir() if child.is_dir())
        return [name for name in names if not name.startswith(".") and self.versions(name)]

    def versions(self, name: str) -> list[str]:
        """Give a model's complete versions, oldest first."""
        place = self._root / name
        if not place.is_dir():
            return []
        if is_version(place):
            return [self._manifest(place).version] if (place / MANIFEST).is_file() else []
        found = (child for child in place.iterdir() if not child.name.startswith("."))
        whole = [child.name for child in found if (child / MANIFEST).is_file()]
        return sorted(whole, key=version_order)

    def manifest(self, name: str, version: str) -> Manifest:
        """Read what a version says of itself, without its files."""
        return self._manifest(self.folder(name, version))

    def folder(self, name: str, version: str | None = None) -> Path:
        """Give the folder of a version; the newest if None."""
        return registered(name, version, self._root)

    def add(self, packed: Packed) -> str:
        """Write a version under a name of its own beside it, then give it its name."""
        publish_locally(packed, self._root)
        return packed.version

    @staticmethod
    def _manifest(folder: Path) -> Manifest:
        return load_section(folder / MANIFEST, Manifest)


class RemoteRegistry(_Unmarked):
    """A place that fsspec opens; versions are fetched to a folder and used from there.

    A version is complete once its manifest is there: it is written last.
    """

    def __init__(self, url: str, cache: Path) -> None:
        self.place = url
        self._remote = Remote(url)
        self._cache = cache / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]

    def names(self) -> list[str]:
        """Give the models that have a version."""
        with self._translated():
            return [name for name in self._remote.folders("") if self.versions(name)]

    def versions(self, name: str) -> list[str]:
        """Give a model's complete versions, oldest first."""
        with self._translated():
            found = self._remote.folders(name)
            whole = [v for v in found if self._remote.exists(f"{name}/{v}/{MANIFEST}")]
        return sorted(whole, key=version_order)

    def manifest(self, name: str, version: str) -> Manifest:
        """Read what a version says of itself, without its files."""
        with self._translated():
            self._known(name, version)
            return self._remote.manifest(f"{name}/{version}")

    def folder(self, name: str, version: str | None = None) -> Path:
        """Give the local folder of a version, fetched where it is not there; the newest if None."""
        with self._translated():
            chosen = version or self._newest(name)
            target = self._cache / name / chosen
            if not (target / MANIFEST).is_file():
                self._known(name, chosen)
                fetched(self._remote, f"{name}/{chosen}", target)
            return target

    def add(self, packed: Packed) -> str:
        """Write a version's files, then its manifest."""
        with self._translated():
            publish_remotely(packed, self._remote)
        return packed.version

    def _newest(self, name: str) -> str:
        versions = self.versions(name)
        if not versions:
            raise ConfigError(f"the registry {self.place} has no model '{name}'")
        return versions[-1]

    def _known(self, name: str, version: str) -> None:
        if self._remote.exists(f"{name}/{version}/{MANIFEST}"):
            return
        there = ", ".join(self.versions(name))
        raise ConfigError(
            f"the registry {self.place} has no version '{version}' of '{name}'"
            + (f"; it has {there}" if there else "")
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Say where it was when the place does not answer."""
        try:
            yield
        except (ConfigError, DownloadError, ModelError):
            raise
        except Exception as error:  # file systems raise whatever their libraries do
            kind = type(error).__name__
            raise DownloadError(f"the registry {self.place}: {kind}: {error}") from error


def open_registry(settings: ModelSettings) -> Registry:
    """Open the registry that the settings name."""
    place = settings.registry
    cache = settings.cache or user_cache_path("streamer") / "models"
    if place is None:
        return LocalRegistry(settings.dir)
    if place.startswith(SCHEME):
        return MlflowRegistry(place, cache)
    if "://" not in place or place.startswith("file://"):
        return LocalRegistry(Path(place.removeprefix("file://")).expanduser())
    return RemoteRegistry(place, cache)


__all__ = ["LocalRegistry", "Packed", "Registry", "RemoteRegistry", "open_registry"]

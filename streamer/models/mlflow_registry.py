"""The registry in MLflow: registered models with their versions and aliases.

MLflow numbers versions itself. One that streamer writes is marked until its manifest is there,
which is written last. One that others have logged is taken as it is, with its `model.yaml` if it
has one.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import yaml

from streamer.config.files import load_section
from streamer.errors import ConfigError, DownloadError, ModelError, StreamerError
from streamer.models.fetch import fetched, locked
from streamer.models.location import MANIFEST
from streamer.models.manifest import Manifest
from streamer.models.packing import Packed
from streamer.models.sources.mlflow import DESCRIPTION, client_library
from streamer.models.version import load_version

SCHEME = "mlflow:"
CHAMPION, CHALLENGER = "champion", "challenger"
_EXPERIMENT = "streamer"
_FOLDER = "model"
_STATE = "streamer.state"
_WRITING, _WHOLE = "writing", "whole"
_MISSING = "RESOURCE_DOES_NOT_EXIST"
_THERE = "RESOURCE_ALREADY_EXISTS"
_PAGE = 200
_MOST_CHARS = 300


class MlflowRegistry:
    """MLflow's registry; versions are fetched to a folder and used from there.

    Args:
        url: `mlflow:` and the tracking server or store; that of MLFLOW_TRACKING_URI if left out.
        cache: folder for what is fetched.

    Raises:
        ConfigError: MLflow's client is not installed.
    """

    def __init__(self, url: str, cache: Path) -> None:
        self._mlflow = client_library(f"models.registry: {url}")
        # Its client talks to people: bars, and addresses of runs among what a command prints.
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        self._tracking = url.removeprefix(SCHEME) or str(self._mlflow.get_tracking_uri())
        self._client: Any = self._mlflow.MlflowClient(tracking_uri=self._tracking)
        self.place = f"{SCHEME}{_without_password(self._tracking)}"
        self._cache = cache / hashlib.sha256(self.place.encode()).hexdigest()[:16]

    def names(self) -> list[str]:
        """Give the models that have a version."""
        with self._translated():
            found = self._pages(self._client.search_registered_models)
            names = [str(one.name) for one in found]
            usable = [name for name in names if not name.startswith(".") and "/" not in name]
            return sorted(name for name in usable if self.versions(name))

    def versions(self, name: str) -> list[str]:
        """Give a model's complete versions, oldest first."""
        with self._translated():
            ready = [one for one in self._all(name) if one.status == "READY"]
            whole = [one for one in ready if one.tags.get(_STATE) != _WRITING]
            return [str(one.version) for one in sorted(whole, key=_number)]

    def manifest(self, name: str, version: str) -> Manifest:
        """Read what a version says of itself, without its files where they are not here."""
        folder = self._cache / name / version
        if folder.is_dir():
            found = load_version(str(folder), beside=folder, models_dir=folder)
            return found.manifest.model_copy(update={"name": name, "version": version})
        with self._translated(), tempfile.TemporaryDirectory(prefix="streamer-") as place:
            known = self._known(name, version)
            try:
                content = self._artifacts(known).read(f"{version}/{MANIFEST}")
            except FileNotFoundError as error:
                raise ModelError(
                    f"{self.place}: {name} {version} was logged without a {MANIFEST}; what it is "
                    "is read off its files once they are fetched"
                ) from error
            file = Path(place) / MANIFEST
            file.write_bytes(content if _STATE in known.tags else _numbered(content, name, version))
            return load_section(file, Manifest)

    def folder(self, name: str, version: str | None = None) -> Path:
        """Give the local folder of a version, fetched where it is not there.

        Without a number: that with the alias `champion`, else the newest.
        """
        with self._translated():
            chosen = version or self.aliases(name).get(CHAMPION) or self._newest(name)
            target = self._cache / name / chosen
            if not target.is_dir():
                found = self._known(name, chosen)
                bring = fetched if _STATE in found.tags else _brought
                bring(self._artifacts(found), chosen, target)
            return target

    def add(self, packed: Packed) -> str:
        """Write a version's files, then its manifest; give the number that MLflow gave it."""
        with self._translated():
            self._register(packed.name)
            run = self._client.create_run(self._experiment(), run_name=packed.name)
            source = f"{run.info.artifact_uri}/{_FOLDER}"
            made = self._client.create_model_version(
                packed.name,
                source,
                run.info.run_id,
                tags={_STATE: _WRITING},
                await_creation_for=0,
            )
            number = str(made.version)
            try:
                content = self._fitting(packed, number)
                self._upload(packed, run.info.run_id, content)
            except BaseException:
                self._client.delete_model_version(packed.name, number)
                raise
            self._client.set_model_version_tag(packed.name, number, _STATE, _WHOLE)
            self._client.set_terminated(run.info.run_id)
            return number

    def resolve(self, name: str, version: str) -> str:
        """Give the version that an alias stands for now; any other word is a version."""
        if version.isdecimal():
            return version
        with self._translated():
            return self.aliases(name).get(version.removeprefix("@"), version)

    def mark(self, name: str, champion: str, candidate: str | None) -> None:
        """Set the aliases `champion` and `challenger` to what serves and what is on trial."""
        with self._translated():
            there = self.aliases(name)
            for alias, version in ((CHAMPION, champion), (CHALLENGER, candidate)):
                if version is None and alias in there:
                    self._client.delete_registered_model_alias(name, alias)
                elif version is not None and there.get(alias) != version:
                    self._client.set_registered_model_alias(name, alias, version)

    def aliases(self, name: str) -> Mapping[str, str]:
        """Give the aliases of a model with their versions; none of one that is not there."""
        with self._translated():
            found = self._one(lambda: self._client.get_registered_model(name))
            return {} if found is None else {k: str(v) for k, v in found.aliases.items()}

    def _artifacts(self, version: Any) -> "_Artifacts":
        source = self._client.get_model_version_download_uri(version.name, version.version)
        return _Artifacts(self._mlflow, self._tracking, version.name, source)

    def _all(self, name: str) -> list[Any]:
        if "'" in name:
            return []
        return self._pages(self._client.search_model_versions, filter_string=f"name='{name}'")

    def _newest(self, name: str) -> str:
        versions = self.versions(name)
        if not versions:
            raise ConfigError(f"the registry {self.place} has no model '{name}'")
        return versions[-1]

    def _known(self, name: str, version: str) -> Any:
        """Give MLflow's record of a version.

        Raises:
            ConfigError: there is none.
        """
        there = self.versions(name)
        if version not in there:
            raise ConfigError(
                f"the registry {self.place} has no version '{version}' of '{name}'"
                + (f"; it has {', '.join(there)}" if there else "")
            )
        return self._client.get_model_version(name, version)

    def _register(self, name: str) -> None:
        if self._one(lambda: self._client.get_registered_model(name)) is None:
            self._one(lambda: self._client.create_registered_model(name), but=_THERE)

    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(_EXPERIMENT)
        if found is None:
            self._one(lambda: self._client.create_experiment(_EXPERIMENT), but=_THERE)
            found = self._client.get_experiment_by_name(_EXPERIMENT)
        return str(found.experiment_id)

    def _fitting(self, packed: Packed, number: str) -> bytes:
        """Give the manifest under the number that MLflow gave.

        Raises:
            ConfigError: another number was asked for.
        """
        if number == packed.version:
            return packed.manifest
        if packed.version in {str(one.version) for one in self._all(packed.name)}:
            raise ConfigError(
                f"{self.place}: {packed.name} {packed.version}: is there already; versions never "
                "change: choose another number"
            )
        if not packed.version.isdecimal() or int(packed.version) > int(number):
            raise ConfigError(
                f"{self.place}: MLflow numbers versions itself, the next of '{packed.name}' is "
                f"{int(number) + 1}: leave the version out"
            )
        return _numbered(packed.manifest, packed.name, number)

    def _upload(self, packed: Packed, run: str, manifest: bytes) -> None:
        for file in packed.files:
            below = f"{_FOLDER}/{file}".rpartition("/")[0]
            self._client.log_artifact(run, str(packed.folder / file), below)
        content = yaml.safe_load(manifest)
        for figure, value in content.get("metrics", {}).items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                self._client.log_metric(run, figure, value)
        with tempfile.TemporaryDirectory(prefix="streamer-") as place:
            (Path(place) / MANIFEST).write_bytes(manifest)
            self._client.log_artifact(run, str(Path(place) / MANIFEST), _FOLDER)

    def _one(self, ask: Any, but: str = _MISSING) -> Any:
        """Ask MLflow; None where it answers with this error."""
        try:
            return ask()
        except self._mlflow.MlflowException as error:
            if error.error_code == but:
                return None
            raise

    @staticmethod
    def _pages(search: Any, **asked: Any) -> list[Any]:
        found: list[Any] = []
        token = None
        while True:
            page = search(**asked, max_results=_PAGE, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Say where it was when MLflow does not answer, or does not know what is asked."""
        try:
            yield
        except StreamerError:
            raise
        except Exception as error:  # its client raises whatever its libraries do
            brief = _without_password(" ".join(str(error).split()))[:_MOST_CHARS]
            told = f"the registry {self.place}: {type(error).__name__}: {brief}"
            missing = getattr(error, "error_code", "") == _MISSING
            raise (ConfigError if missing else DownloadError)(told) from error


class _Artifacts:
    """The files of one version, each of which MLflow's client brings whole.

    They are asked for as VERSION/FILE, as behind a URL of versions.
    """

    def __init__(self, mlflow: Any, tracking: str, name: str, source: str) -> None:
        self._artifacts = mlflow.artifacts
        self._tracking = tracking
        self._source = source.rstrip("/")
        self.url = f"models:/{name}"

    def read(self, below: str) -> bytes:
        """Read a small file."""
        with self.open(below) as stream:
            content: bytes = stream.read()
            return content

    @contextmanager
    def open(self, below: str) -> Iterator[IO[bytes]]:
        """Open a file.

        Raises:
            FileNotFoundError: there is no such file.
        """
        file = below.partition("/")[2]
        with tempfile.TemporaryDirectory(prefix="streamer-") as place:
            try:
                found = self.bring(Path(place), file)
            except Exception as error:
                if not self._there(file):
                    raise FileNotFoundError(f"{self.url}/{below}") from error
                raise
            with found.open("rb") as stream:
                yield stream

    def bring(self, place: Path, file: str = "") -> Path:
        """Bring a file, or all of them, into a folder; give where it is."""
        uri = f"{self._source}/{file}" if file else self._source
        given = {"artifact_uri": uri, "dst_path": str(place), "tracking_uri": self._tracking}
        return Path(self._artifacts.download_artifacts(**given))

    def _there(self, file: str) -> bool:
        folder, _, name = f"{self._source}/{file}".rpartition("/")
        listed = self._artifacts.list_artifacts(artifact_uri=folder, tracking_uri=self._tracking)
        return name in {Path(one.path).name for one in listed}


def _brought(artifacts: _Artifacts, version: str, target: Path) -> None:
    """Fetch a version that others have logged; it is there whole, or not at all.

    Raises:
        ModelError: it is no model.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    with locked(target.with_name(f".{target.name}.lock")):
        if target.is_dir():
            return
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        artifacts.bring(part)
        places = [part, *(child for child in part.iterdir() if child.is_dir())]
        found = [p for p in places if any((p / one).is_file() for one in (MANIFEST, DESCRIPTION))]
        if not found:
            told = f"{artifacts.url}/{version}: has neither {MANIFEST} nor {DESCRIPTION}"
            raise ModelError(f"{told}: it is no model that MLflow or streamer logged")
        file = found[0] / MANIFEST
        if file.is_file():
            file.write_bytes(_numbered(file.read_bytes(), target.parent.name, version))
        found[0].rename(target)
        shutil.rmtree(part, ignore_errors=True)


def _numbered(manifest: bytes, name: str, number: str) -> bytes:
    """Write a manifest anew under the name and number that MLflow knows it by."""
    content = {**yaml.safe_load(manifest), "name": name, "version": number}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode()


def _number(version: Any) -> int:
    return int(version.version)


def _without_password(text: str) -> str:
    """Leave the password out of a URL, or of what is said of one."""
    return re.sub(r"//[^/@\s]*@", "//", text)

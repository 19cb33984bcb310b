"""Models that MLflow keeps: fetched by its client, and its folders read by their `MLmodel`."""

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from streamer.config.files import read_yaml
from streamer.errors import ConfigError, DownloadError, ModelError

SCHEMES = ("mlflow:", "models:", "runs:", "mlflow-artifacts:")
DESCRIPTION = "MLmodel"
# Flavours whose files can be run here, with the key that names the file or folder.
_RUN = {"onnx": "data", "transformers": "model_binary", "tensorflow": "saved_model_dir"}


def artifacts(uri: str, cache: Path) -> Path:
    """Fetch a model from MLflow's registry or a run; give the folder or file to be run.

    Args:
        uri: `models:/NAME/VERSION`, `models:/NAME@ALIAS`, `runs:/ID/PATH`, or one behind `mlflow:`.
        cache: where it is kept.

    Raises:
        ConfigError: MLflow's client is not installed, or there is no such model.
        DownloadError: MLflow does not answer.
        ModelError: it is of a flavour that cannot be run.
    """
    asked = uri.removeprefix("mlflow:") if uri.startswith("mlflow:") else uri
    mlflow = client_library(f"model '{uri}'", "; or give the folder with its MLmodel")
    try:
        place = _source(mlflow, asked)
        target = cache / "mlflow" / hashlib.sha256(place.encode()).hexdigest()[:16]
        if not (target / ".whole").is_file():
            target.mkdir(parents=True, exist_ok=True)
            mlflow.artifacts.download_artifacts(artifact_uri=place, dst_path=str(target))
            (target / ".whole").touch()
    except Exception as error:
        told = f"model '{uri}': {type(error).__name__}: {' '.join(str(error).split()):.300}"
        missing = "RESOURCE_DOES_NOT_EXIST" in str(getattr(error, "error_code", ""))
        raise (ConfigError if missing else DownloadError)(told) from error
    found = [target, *(child for child in target.iterdir() if child.is_dir())]
    folder = next((each for each in found if (each / DESCRIPTION).is_file()), None)
    if folder is None:
        raise ModelError(f"{uri}: has no {DESCRIPTION}: it is no model that MLflow logged")
    return folder


def client_library(whose: str, instead: str = "") -> Any:
    """Import MLflow's client.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import mlflow
    except ImportError as error:
        told = f"{whose}: needs MLflow's client: pip install 'streamer[mlflow]'{instead}"
        raise ConfigError(told) from error
    return mlflow


def _source(mlflow: Any, uri: str) -> str:
    """Resolve an alias or stage, which move, to the version that it means now."""
    if not uri.startswith("models:/") or "@" not in uri:
        return uri
    name, _, alias = uri.removeprefix("models:/").partition("@")
    version = mlflow.MlflowClient().get_model_version_by_alias(name, alias).version
    return f"models:/{name}/{version}"


def model_in(folder: Path) -> Path:
    """Find what is to be run in a folder with an `MLmodel`.

    Raises:
        ModelError: it is of no flavour that can be run here.
    """
    content, _ = read_yaml(folder / DESCRIPTION)
    flavours = content.get("flavors") if isinstance(content, dict) else None
    if not isinstance(flavours, dict):
        raise ModelError(f"{folder / DESCRIPTION}: names no flavors")
    for place in _places(flavours):
        path = PurePosixPath(place)
        if path.is_absolute() or ".." in path.parts or "\\" in place:
            raise ModelError(f"{folder / DESCRIPTION}: '{place}' leads out of the folder")
        if (folder / place).exists():
            return folder / place
    raise ModelError(
        f"{folder / DESCRIPTION}: has the flavours {', '.join(sorted(flavours))}; those that can "
        f"be run are {', '.join(_RUN)}, since the others are pickled Python objects. Log the model "
        "with mlflow.onnx or mlflow.transformers"
    )


def _places(flavours: dict[str, Any]) -> Iterator[str]:
    for flavour, key in _RUN.items():
        told = flavours.get(flavour)
        if isinstance(told, dict) and isinstance(told.get(key), str):
            yield told[key]

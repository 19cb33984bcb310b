"""Models that are elsewhere: the Hugging Face hub, MLflow, and whatever fsspec opens."""

import re
from pathlib import Path

from platformdirs import user_cache_path

from streamer.errors import ConfigError
from streamer.models.sources import hub, mlflow, urls

_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]+):", re.IGNORECASE)


def is_elsewhere(uri: str) -> bool:
    """Whether a uri begins with a scheme (a path does not)."""
    return _SCHEME.match(uri) is not None


def brought(uri: str, cache: Path | None = None) -> Path:
    """Bring a model to this machine, once; give its folder or file.

    Args:
        uri: `hf:ORG/REPO@REVISION`, `models:/NAME/VERSION`, `mlflow:URI`, or a URL.
        cache: folder for what is fetched; in the user's cache if left out.

    Raises:
        ConfigError: the uri is no such, or a package is missing.
        DownloadError: it cannot be fetched just now.
        ModelError: there is no model that streamer runs.
    """
    cache = cache or user_cache_path("streamer") / "models"
    if uri.startswith("hf:"):
        return hub.snapshot(uri, cache)
    if uri.startswith(mlflow.SCHEMES):
        return mlflow.artifacts(uri, cache)
    if "://" in uri:
        return urls.fetched(uri, cache)
    raise ConfigError(
        f"model '{uri}': '{uri.partition(':')[0]}:' is unknown; write a path, registry:NAME, "
        "hf:ORG/REPO@COMMIT, models:/NAME/VERSION (MLflow), or a URL as in s3://bucket/folder"
    )


__all__ = ["brought", "is_elsewhere"]

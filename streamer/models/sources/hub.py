"""Models of the Hugging Face hub, by way of its own client and cache."""

import hashlib
import re
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import structlog

from streamer.errors import ConfigError, DownloadError, ModelError

_log = structlog.get_logger(__name__)

_URI = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
# What says how a model is used; small, all of it.
_DESCRIPTIONS = (
    "*.json", "1_*/config.json", "model.yaml", "vocab*.txt", "merges.txt", "labels*.txt",
    "*.spm", "*.model", "*.txt.gz",
)  # fmt: skip
_INDEX = "model.safetensors.index.json"
# The first of these groups that a repository has is fetched.
_WEIGHTS: tuple[tuple[str, ...], ...] = (
    ("model.onnx", "model.onnx_data*", "model.onnx.data*"),
    ("onnx/model.onnx", "onnx/model.onnx_data*", "onnx/model.onnx.data*"),
    ("model.safetensors",),
    (_INDEX, "model-*-of-*.safetensors"),
    ("onnx/encoder_model.onnx*", "onnx/decoder_model.onnx*", "onnx/decoder_with_past_model.onnx*"),
    ("saved_model.pb", "variables/*"),
    ("*.onnx",),
    ("*.tflite",),
)
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.joblib", "*.h5", "*.msgpack")
_MAX_DESCRIPTION_BYTES = 2**26


def snapshot(uri: str, cache: Path) -> Path:
    """Fetch what is needed of a repository, unless the hub's cache has it; give its folder.

    A revision that moves (a branch, or none) is resolved to its commit at the first load, and that
    commit is taken from then on, so that a restart does not change the model.

    Args:
        uri: `hf:ORG/REPO`, or with `@` and a commit, a tag or a branch.
        cache: where the commit of a moving revision is kept.

    Raises:
        ConfigError: the uri is no such, or the client is not installed.
        DownloadError: the hub does not answer and the cache lacks it.
        ModelError: the repository has no model that streamer runs.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise ConfigError(f"model '{uri}': write hf:ORG/REPO@COMMIT")
    repo, revision = match["repo"], match["revision"] or "main"
    client = _client()
    commit, names = _resolved(client, uri, repo, revision, cache)
    try:
        folder = Path(
            client.snapshot_download(repo, revision=commit, allow_patterns=sorted(names) or None)
        )
    except Exception as error:
        raise _failed(uri, error) from error
    _verify(folder)
    return folder


def _client() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise ConfigError(
            "models of the Hugging Face hub need its client: pip install 'streamer[hub]'"
        ) from error
    return huggingface_hub


def _resolved(client: Any, uri: str, repo: str, revision: str, cache: Path) -> tuple[str, set[str]]:
    """Give the commit, and the files that are needed of it; none known where the hub is not asked.

    What has been fetched once needs no hub: a commit never changes.
    """
    pin = cache / "hub" / f"{repo.replace('/', '--')}@{revision.replace('/', '--')}"
    commit = revision if _COMMIT.fullmatch(revision) else _pinned(pin)
    kept = _kept(client, repo, commit) if commit else None
    if commit and kept:
        return commit, kept
    try:
        information = client.HfApi().model_info(
            repo, revision=commit or revision, files_metadata=True
        )
    except Exception as error:
        found = _offline(client, repo, revision)
        if found is None:
            raise _failed(uri, error) from error
        return found
    sizes = {file.rfilename: file.size or 0 for file in information.siblings or ()}
    if commit is None:
        pin.parent.mkdir(parents=True, exist_ok=True)
        pin.write_text(information.sha, encoding="utf-8")
        _log.warning(
            "model_pinned",
            message=f"{uri} moves; from now on its commit {information.sha} is taken here",
            uri=uri,
            write=f"hf:{repo}@{information.sha}",
            kept=str(pin),
        )
    return information.sha, needed(uri, sizes)


def needed(uri: str, sizes: dict[str, int]) -> set[str]:
    """Choose the files that are fetched: descriptions, and weights that can be trusted.

    Raises:
        ModelError: there are no weights, or only pickled ones.
    """
    names = set(sizes)
    weights: set[str] = set()
    for patterns in _WEIGHTS:
        if any(fnmatch(name, patterns[0]) and _depth(name, patterns[0]) for name in names):
            weights = _matching(names, patterns)
            break
    if "model.yaml" in names and not weights:
        weights = _matching(names, ("*.pt", "*.pt2", "*.pb"))
    if not weights:
        pickles = sorted(_matching(names, _PICKLES))
        if pickles:
            raise ModelError(
                f"{uri}: its weights are pickled ({', '.join(pickles[:3])}), and to load those is "
                "to run code that their author chose; convert them to safetensors or export the "
                "model to ONNX"
            )
        raise ModelError(f"{uri}: holds no model: neither ONNX nor safetensors nor TensorFlow")
    small = {
        name
        for name in _matching(names, _DESCRIPTIONS)
        if sizes[name] <= _MAX_DESCRIPTION_BYTES and not name.endswith(".index.json")
    }
    return weights | small


def _matching(names: Iterable[str], patterns: Iterable[str]) -> set[str]:
    return {
        name
        for name in names
        for pattern in patterns
        if fnmatch(name, pattern) and _depth(name, pattern)
    }


def _depth(name: str, pattern: str) -> bool:
    """Whether name and pattern lie equally deep: `*` matches folders, too."""
    return name.count("/") == pattern.count("/")


def _pinned(pin: Path) -> str | None:
    try:
        commit = pin.read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return commit if _COMMIT.fullmatch(commit) else None


def _kept(client: Any, repo: str, commit: str) -> set[str] | None:
    """Name the files of a commit if the hub's cache has them whole."""
    try:
        folder = Path(client.snapshot_download(repo, revision=commit, local_files_only=True))
    except Exception:  # noqa: BLE001 - it is asked for, then
        return None
    names = {
        file.relative_to(folder).as_posix(): file.stat().st_size
        for file in folder.rglob("*")
        if file.is_file()
    }
    try:
        return needed(repo, names) if names else None
    except ModelError:
        return None


def _offline(client: Any, repo: str, revision: str) -> tuple[str, set[str]] | None:
    """Take the commit that the hub's cache has of a revision."""
    try:
        folder = Path(client.snapshot_download(repo, revision=revision, local_files_only=True))
    except Exception:  # noqa: BLE001 - the error that is told is the hub's own
        return None
    kept = _kept(client, repo, folder.name)
    return (folder.name, kept) if kept else None


def _verify(folder: Path) -> None:
    """Compare large files with the digests that the hub's cache names them by."""
    for file in folder.rglob("*"):
        blob = file.resolve()
        if not file.is_file() or not _DIGEST.fullmatch(blob.name):
            continue
        with blob.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != blob.name:
            raise ModelError(
                f"{file}: is damaged: its sha256 is {digest}, the hub's is {blob.name}; remove "
                f"{blob} to fetch it anew"
            )


def _failed(uri: str, error: Exception) -> ConfigError | DownloadError:
    kind = type(error).__name__
    if kind in ("RepositoryNotFoundError", "GatedRepoError", "RevisionNotFoundError"):
        told = {
            "RepositoryNotFoundError": "there is no such repository, or a token is needed for it",
            "GatedRepoError": "its owner wants to be asked for access; then set HF_TOKEN",
            "RevisionNotFoundError": "the repository has no such revision",
        }[kind]
        return ConfigError(f"model '{uri}': {told} (HF_TOKEN, HF_ENDPOINT)")
    line = " ".join(str(error).split())
    return DownloadError(
        f"model '{uri}': cannot be fetched, and the cache (HF_HOME) lacks it: {kind}: {line:.300}"
    )

"""Models of the Hugging Face hub, by way of its own client and cache."""

import hashlib
import json
import logging
import re
import sys
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import structlog

from streamer.errors import ConfigError, DownloadError, ModelError

_log = structlog.get_logger(__name__)

_URI = re.compile(r"hf:(?P<repo>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>\w[\w./-]*))?")
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
MAX_BYTES = 64 * 2**30


def snapshot(uri: str, cache: Path) -> Path:
    """Fetch what is needed of a repository, unless the hub's cache has it; give its folder.

    A revision that moves (a branch, or none) is resolved to its commit at the first load, and that
    commit is taken from then on, so that a restart does not change the model.

    Args:
        uri: `hf:ORG/REPO`, or with `@` and a commit, a tag or a branch.
        cache: where it is kept which commit a moving revision was, and what was fetched of it.

    Raises:
        ConfigError: the uri is no such, or the client is not installed.
        DownloadError: the hub does not answer and the cache lacks it.
        ModelError: the repository has no model that streamer runs.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise ConfigError(f"model '{uri}': write hf:ORG/REPO@COMMIT")
    repository = _Repository(_client(), uri, match["repo"], cache / "hub")
    revision = match["revision"] or "main"
    commit = revision if _COMMIT.fullmatch(revision) else repository.pinned(revision)
    folder = repository.kept(commit) if commit else None
    if folder is None:
        folder = repository.fetched(revision, commit)
    _verify(folder)
    return folder


class _Repository:
    """A repository of the hub, and what this machine has of it."""

    def __init__(self, client: Any, uri: str, repo: str, notes: Path) -> None:
        self._client = client
        self._uri = uri
        self._repo = repo
        self._notes = notes

    def pinned(self, revision: str) -> str | None:
        """Give the commit that a moving revision was at its first load."""
        try:
            commit = self._note(revision).read_text(encoding="utf-8").strip()
        except OSError:
            return None
        return commit if _COMMIT.fullmatch(commit) else None

    def kept(self, revision: str) -> Path | None:
        """Give the folder of a revision if the hub's cache has all of it that is needed."""
        try:
            names = json.loads(self._note(f"{revision}.files").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            names = None
        try:
            folder = self._client.snapshot_download(
                self._repo, revision=revision, allow_patterns=names, local_files_only=True
            )
        except Exception:  # noqa: BLE001 - then it is fetched
            return None
        return Path(folder)

    def fetched(self, revision: str, commit: str | None) -> Path:
        """Ask the hub for a revision, and fetch what is needed of it."""
        try:
            told = self._client.HfApi().model_info(
                self._repo, revision=commit or revision, files_metadata=True
            )
        except Exception as error:
            folder = self.kept(revision)  # a branch, as the hub's cache knows it
            if folder is None:
                raise _failed(self._uri, error) from error
            return folder
        sizes = {file.rfilename: file.size or 0 for file in told.siblings or ()}
        names = sorted(needed(self._uri, sizes))
        size = sum(sizes[name] for name in names)
        if size > MAX_BYTES:
            raise ModelError(f"{self._uri}: {size / 2**30:,.0f} GiB: larger than can be run here")
        try:
            folder = Path(
                self._client.snapshot_download(self._repo, revision=told.sha, allow_patterns=names)
            )
        except Exception as error:
            raise _failed(self._uri, error) from error
        self._write(f"{told.sha}.files", json.dumps(names))
        if commit is None:
            self._write(revision, told.sha)
            _log.warning(
                "model_pinned",
                message=f"{self._uri} moves; from now on its commit {told.sha} is taken here",
                uri=self._uri,
                write=f"hf:{self._repo}@{told.sha}",
                kept=str(self._note(revision)),
            )
        return folder

    def _note(self, name: str) -> Path:
        return self._notes / f"{self._repo}@{name}".replace("/", "--")

    def _write(self, name: str, text: str) -> None:
        self._notes.mkdir(parents=True, exist_ok=True)
        self._note(name).write_text(text, encoding="utf-8")


def _client() -> Any:
    try:
        import huggingface_hub
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError as error:
        raise ConfigError(
            "models of the Hugging Face hub need its client: pip install 'streamer[hub]'"
        ) from error
    if not sys.stderr.isatty():  # bars are for people
        disable_progress_bars()
    for name in ("httpx", "httpx2"):  # it logs every request
        logging.getLogger(name).setLevel(logging.WARNING)
    return huggingface_hub


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
    cause: BaseException = error
    while cause.__cause__ is not None:  # the client wraps what really happened
        cause = cause.__cause__
    line = " ".join(f"{error} ({cause})".split())
    return DownloadError(
        f"model '{uri}': cannot be fetched, and the cache (HF_HOME) lacks it: {kind}: {line:.300}"
    )

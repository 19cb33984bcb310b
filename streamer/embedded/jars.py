"""Kafka's jars: which ones, where they are kept, and that they are what was pinned."""

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import platformdirs

from streamer.errors import ConfigError, DownloadError

KAFKA_VERSION = "4.3.1"
"""The version that kafka.lock pins; compose.yaml names the image of the same one."""

LOCK_FILE = Path(__file__).with_name("kafka.lock")

_PARALLEL_DOWNLOADS = 4
_HTTP_TIMEOUT_S = 60
_ATTEMPTS = 3

_SCRATCH = ".fetching-"
_SCRATCH_OLD_S = 3600

Progress = Callable[[int, int], None]
"""Called with the bytes fetched so far and the bytes to fetch."""

Fetch = Callable[["Jar", Path], Path]
"""Fetches a jar into a folder of its own and says where it lies."""


@dataclass(frozen=True)
class Jar:
    """One file of Maven's repository and what it must be."""

    group: str
    artifact: str
    version: str
    sha256: str
    size_bytes: int

    @property
    def coordinate(self) -> str:
        """Maven's name of it, `group:artifact:version`."""
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def file_name(self) -> str:
        """Its name in the cache folder."""
        return f"{self.artifact}-{self.version}.jar"


def cache_folder() -> Path:
    """Return the folder of this user where the jars of the pinned version are kept."""
    return platformdirs.user_cache_path("streamer") / f"kafka-{KAFKA_VERSION}"


def locked_jars(lock_file: Path = LOCK_FILE) -> list[Jar]:
    """Read the pinned jars: `group:artifact:version sha256 bytes` a line, `#` before a remark."""
    lines = lock_file.read_text(encoding="utf-8").splitlines()
    return [_jar(line) for line in lines if line.strip() and not line.startswith("#")]


def class_path(
    folder: Path | None = None,
    *,
    jars: Sequence[Jar] | None = None,
    fetch: Fetch | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Return Kafka's jars, each checked against its sum; the ones not there are fetched first.

    A jar enters the folder whole and checked, or not at all, so a download that broke off goes on
    with the next jar the next time.

    Args:
        folder: where the jars are kept; the user's cache folder if not given.
        jars: what is wanted; the pinned ones if not given.
        fetch: how a jar is fetched; from Maven's repository if not given.
        progress: told how far the download is.

    Raises:
        DownloadError: a jar cannot be fetched, or is not the pinned one.
        ConfigError: the folder cannot be written.
    """
    folder = folder or cache_folder()
    jars = locked_jars() if jars is None else jars
    missing = [jar for jar in jars if not (folder / jar.file_name).exists()]
    if missing:
        _fetch_all(missing, folder, fetch or fetch_from_maven, progress or _silent)
    fetched = {jar.file_name for jar in missing}
    for jar in jars:
        if jar.file_name not in fetched:
            _check_kept(jar, folder / jar.file_name)
    return [folder / jar.file_name for jar in jars]


def fetch_from_maven(jar: Jar, folder: Path) -> Path:
    """Fetch one jar with jgo, from the repositories in the user's jgo settings or Maven Central.

    Raises:
        DownloadError: no repository answers, or none has it.
    """
    import requests

    for attempt in range(_ATTEMPTS):
        try:
            # A folder each: jgo takes what a broken attempt left behind for the whole file.
            return _resolved(jar, folder / str(attempt))
        except (requests.RequestException, RuntimeError, OSError) as error:
            failure = error
            time.sleep(attempt)
    reason = getattr(failure.args[0], "reason", failure) if failure.args else failure
    raise DownloadError(
        f"Kafka's {jar.coordinate} cannot be fetched: {reason}. "
        "Check the network and its proxy (HTTPS_PROXY), or name a Maven repository that can be "
        "reached under [repositories] in jgo's settings; what was fetched so far is kept. "
        "A Kafka that already runs is used with STREAMER_KAFKA__BOOTSTRAP_SERVERS.",
    ) from failure


def _resolved(jar: Jar, repository_cache: Path) -> Path:
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    # The user's own come first: a mirror serves where Maven Central is out of reach.
    repositories = {**GlobalSettings.load().repositories}
    repositories.setdefault("central", MAVEN_CENTRAL_URL)
    maven = MavenContext(
        repo_cache=repository_cache, remote_repos=repositories, timeout=_HTTP_TIMEOUT_S
    )
    component = maven.project(jar.group, jar.artifact).at_version(jar.version)
    return Path(component.artifact().resolve())


def _jar(line: str) -> Jar:
    coordinate, sha256, size = line.split()
    group, artifact, version = coordinate.split(":")
    return Jar(group, artifact, version, sha256, int(size))


def _fetch_all(jars: Sequence[Jar], folder: Path, fetch: Fetch, progress: Progress) -> None:
    total = sum(jar.size_bytes for jar in jars)
    done = 0
    progress(done, total)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        with tempfile.TemporaryDirectory(dir=folder, prefix=_SCRATCH) as scratch:
            for jar in _fetched(jars, Path(scratch), folder, fetch):
                done += jar.size_bytes
                progress(done, total)
    except OSError as error:
        raise ConfigError(f"Kafka's jars cannot be kept in {folder}: {error}") from error


def _sweep(folder: Path) -> None:
    for scratch in folder.glob(f"{_SCRATCH}*"):
        if time.time() - scratch.stat().st_mtime > _SCRATCH_OLD_S:
            shutil.rmtree(scratch, ignore_errors=True)


def _fetched(jars: Sequence[Jar], scratch: Path, folder: Path, fetch: Fetch) -> Iterable[Jar]:
    pool = ThreadPoolExecutor(_PARALLEL_DOWNLOADS, thread_name_prefix="jars")
    try:
        yield from pool.map(partial(_fetch_one, scratch=scratch, folder=folder, fetch=fetch), jars)
    finally:
        pool.shutdown(cancel_futures=True)


def _fetch_one(jar: Jar, *, scratch: Path, folder: Path, fetch: Fetch) -> Jar:
    own = scratch / jar.file_name
    own.mkdir()
    path = fetch(jar, own)
    seen = _sha256(path)
    if seen != jar.sha256:
        raise DownloadError(
            f"what the repository sent for {jar.coordinate} is not the pinned file, "
            f"and was not kept: its SHA-256 is {seen}, it must be {jar.sha256}",
        )
    path.replace(folder / jar.file_name)
    return jar


def _check_kept(jar: Jar, path: Path) -> None:
    seen = _sha256(path)
    if seen != jar.sha256:
        raise DownloadError(
            f"{path} is not the pinned {jar.coordinate}: its SHA-256 is {seen}, it must be "
            f"{jar.sha256}. Delete the file, and it is fetched anew.",
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _silent(_done: int, _total: int) -> None:
    """Tell nobody."""

"""Writes kafka.lock: `python -m streamer.embedded.pin`, after a new KAFKA_VERSION in jars.py."""

import hashlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streamer.embedded.jars import KAFKA_VERSION, LOCK_FILE, Jar

_HEAD = f"""\
# Apache Kafka {KAFKA_VERSION} and what it runs with: group:artifact:version, SHA-256, bytes.
# Written by `python -m streamer.embedded.pin`.
"""
_HTTP_TIMEOUT_S = 60


def pinned(repository_cache: Path) -> Iterator[Jar]:
    """Resolve the jars of the pinned version, and the one that carries its logs to log4j."""
    from jgo.maven import MavenContext

    maven = MavenContext(repo_cache=repository_cache, timeout=_HTTP_TIMEOUT_S)
    kafka = maven.create_dependency(f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}")
    direct, transitive = maven.resolver.resolve([kafka])
    for dependency in (*direct, *transitive):
        yield _jar(dependency.artifact)
        if dependency.artifactId == "log4j-core":
            # Kafka leaves the choice of what it logs by to whoever packs it. Resolved together
            # with Kafka, this one's parent would bring Kafka's libraries in older versions.
            binding = f"{dependency.groupId}:log4j-slf4j-impl:{dependency.version}"
            yield _jar(maven.create_dependency(binding).artifact)


def _jar(artifact: Any) -> Jar:
    path = Path(artifact.resolve())
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return Jar(artifact.groupId, artifact.artifactId, artifact.version, digest, len(content))


def main() -> None:
    """Write the lock file anew, from an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        jars = sorted(pinned(Path(cache)), key=lambda jar: jar.coordinate)
    lines = (f"{jar.coordinate} {jar.sha256} {jar.size_bytes}\n" for jar in jars)
    LOCK_FILE.write_text(_HEAD + "".join(lines), encoding="utf-8")
    sys.stdout.write(f"{len(jars)} jars, {sum(jar.size_bytes for jar in jars)} bytes\n")


if __name__ == "__main__":
    main()

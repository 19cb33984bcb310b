import hashlib
from pathlib import Path

import pytest
import yaml

from streamer.embedded.jars import KAFKA_VERSION, Jar, class_path, locked_jars
from streamer.errors import ConfigError, DownloadError

ROOT = Path(__file__).resolve().parents[3]


def a_jar(name: str, content: bytes) -> Jar:
    return Jar("org.example", name, "1.0", hashlib.sha256(content).hexdigest(), len(content))


def sending(content: bytes, asked: list[str]):
    def fetch(jar: Jar, folder: Path) -> Path:
        asked.append(jar.artifact)
        path = folder / "sent.jar"
        path.write_bytes(content)
        return path

    return fetch


def refused(jar: Jar, folder: Path) -> Path:
    raise DownloadError(f"no way to {jar.coordinate}")


def test_the_lock_pins_every_jar_by_its_sum_and_size():
    jars = locked_jars()
    assert len({jar.file_name for jar in jars}) == len(jars) > 40
    for jar in jars:
        assert len(bytes.fromhex(jar.sha256)) == 32, jar
        assert jar.size_bytes > 1000, jar


def test_the_lock_holds_the_server_of_the_version_and_its_logging():
    coordinates = [jar.coordinate for jar in locked_jars()]
    assert f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}" in coordinates
    kafkas = [each for each in coordinates if each.startswith("org.apache.kafka:")]
    assert all(each.endswith(f":{KAFKA_VERSION}") for each in kafkas)
    assert any("log4j-slf4j-impl" in each for each in coordinates)


def test_the_compose_file_runs_the_same_version():
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert compose["services"]["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


def test_only_missing_jars_are_fetched_and_progress_is_told_in_bytes(tmp_path):
    jars = [a_jar("one", b"same"), a_jar("two", b"same")]
    asked, told = [], []
    (tmp_path / jars[0].file_name).write_bytes(b"same")
    for _ in range(2):
        paths = class_path(
            tmp_path,
            jars=jars,
            fetch=sending(b"same", asked),
            progress=lambda at, of: told.append((at, of)),
        )
        assert paths == [tmp_path / "one-1.0.jar", tmp_path / "two-1.0.jar"]
    assert asked == ["two"]
    assert told == [(0, 4), (4, 4)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one-1.0.jar", "two-1.0.jar"]


def test_a_sent_file_that_is_not_the_pinned_one_is_refused_and_not_kept(tmp_path):
    jar = a_jar("one", b"right")
    with pytest.raises(DownloadError, match=r"org\.example:one:1\.0 is not the pinned file"):
        class_path(tmp_path, jars=[jar], fetch=sending(b"wrong", []))
    assert list(tmp_path.iterdir()) == []


def test_a_kept_file_that_changed_is_refused_with_what_to_delete(tmp_path):
    jar = a_jar("one", b"right")
    path = tmp_path / jar.file_name
    path.write_bytes(b"wrong")
    with pytest.raises(DownloadError, match="Delete the file") as failure:
        class_path(tmp_path, jars=[jar], fetch=refused)
    assert str(path) in str(failure.value)
    path.unlink()
    assert class_path(tmp_path, jars=[jar], fetch=sending(b"right", [])) == [path]


def test_a_download_that_broke_off_keeps_what_it_had(tmp_path):
    jars = [a_jar("one", b"same"), a_jar("two", b"same")]

    def fetch(jar: Jar, folder: Path) -> Path:
        return (refused if jar.artifact == "two" else sending(b"same", []))(jar, folder)

    with pytest.raises(DownloadError, match=r"no way to org[.]example:two"):
        class_path(tmp_path, jars=jars, fetch=fetch)
    assert [path.name for path in tmp_path.iterdir()] == ["one-1.0.jar"]


def test_a_cache_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    folder = tmp_path / "file" / "cache"
    with pytest.raises(ConfigError, match=r"cannot be kept in .*file/cache"):
        class_path(folder, jars=[a_jar("one", b"x")], fetch=refused)

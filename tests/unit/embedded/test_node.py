import pytest

from streamer.embedded.node import DataFolder, new_cluster_id
from streamer.errors import ConfigError


def test_a_data_folder_has_one_user_at_a_time(tmp_path):
    first = DataFolder(tmp_path / "records")
    with pytest.raises(ConfigError, match=r"records is in use by another broker"):
        DataFolder(tmp_path / "records")
    first.close()
    DataFolder(tmp_path / "records").close()


def test_a_data_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"data folder .*file cannot be used"):
        DataFolder(tmp_path / "file")


def test_a_data_folder_that_kafka_would_take_for_two_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="has a comma"):
        DataFolder(tmp_path / "one,two")
    assert list(tmp_path.iterdir()) == []


def test_no_cluster_id_looks_like_an_option():
    ids = {new_cluster_id() for _ in range(2000)}
    assert len(ids) == 2000
    assert all(len(each) == 22 and not each.startswith("-") for each in ids)

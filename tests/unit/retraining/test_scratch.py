"""A run's folder goes with it, or with the next sidecar."""

from pathlib import Path

import pytest

from streamer.retraining.scratch import Scratch


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_a_folder_is_removed_at_its_end():
    with Scratch("s3://one").opened() as folder:
        assert Path(folder).is_dir()
    assert not Path(folder).exists()


def test_what_a_killed_run_has_left_is_swept_and_nothing_of_other_sets(tmp_path):
    killed, other = Scratch("s3://one").opened(), Scratch("s3://other").opened()
    left, kept = Path(killed.__enter__()), Path(other.__enter__())
    (left / "file").write_bytes(b"1")
    Scratch("s3://one").sweep()
    assert not left.exists()
    assert kept.is_dir()
    other.__exit__(None, None, None)

"""How many cores a process may use."""

import os

import pytest

from streamer.runtime import usable_cores


@pytest.fixture
def eight(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("limit", "cores"),
    [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("1600000 100000", 8)],
)
def test_a_containers_limit_counts_where_it_is_lower(eight, tmp_path, limit, cores):
    quota = tmp_path / "cpu.max"
    quota.write_text(f"{limit}\n")
    assert usable_cores(quota) == cores


@pytest.mark.parametrize("text", ["max 100000\n", "", "nonsense"])
def test_without_a_limit_the_cores_that_it_may_run_on_count(eight, tmp_path, text):
    quota = tmp_path / "cpu.max"
    quota.write_text(text)
    assert usable_cores(quota) == 8


def test_without_a_control_group_too(eight, tmp_path):
    assert usable_cores(tmp_path / "missing") == 8

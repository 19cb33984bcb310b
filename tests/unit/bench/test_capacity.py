from pathlib import Path

import pytest

from streamer.bench.capacity import Cluster, Replica, Workload, capacity


def test_replicas_are_as_many_as_the_peak_takes_with_room_to_spare():
    needed = capacity(Workload(1000, 100, 100, outage_s=0), Replica(100, efficiency=1.0))
    assert needed.replicas == 15  # 1000 / (0.7 x 100)
    assert needed.partitions == 30
    assert needed.utilisation == pytest.approx(1000 / 1500)
    assert (needed.limit, needed.gpus) == ("model", 0)


def test_the_backlog_of_an_outage_is_worked_off_in_time():
    work = Workload(1000, 100, 100, outage_s=3600, catch_up_s=3600)
    needed = capacity(work, Replica(100, efficiency=1.0))
    assert needed.replicas == 20
    assert needed.catches_up_s <= 3600


def test_a_model_faster_than_the_interpreter_does_not_help():
    fast = capacity(Workload(50_000, 100, 100), Replica(1e6, line_rate=8000, gpu=True))
    faster = capacity(Workload(50_000, 100, 100), Replica(1e7, line_rate=8000, gpu=True))
    assert fast.replicas == faster.replicas == fast.gpus
    assert fast.limit == "interpreter"
    assert "the interpreter is the limit" in fast.notes[0]


def test_large_records_ask_for_partitions_and_brokers_not_for_replicas():
    small = capacity(Workload(1000, 1e3, 400), Replica(5000))
    large = capacity(Workload(1000, 1e6, 400), Replica(5000))
    assert small.replicas == large.replicas
    assert large.partitions == 200  # 1 GB/s at 5 MB/s each
    assert large.brokers == 38  # 3 GB/s and a little at 80 MB/s each
    assert large.network_in == 1e9


def test_copies_count_on_disks_and_between_brokers():
    needed = capacity(Workload(100, 500, 500), Replica(5000), Cluster(replication=2))
    assert needed.broker_write == 200_000
    assert needed.broker_read == 200_000
    assert needed.brokers == 2


def test_too_few_partitions_are_told():
    needed = capacity(Workload(1000, 100, 100, partitions_now=3), Replica(100))
    assert "the topic has 3 partitions" in needed.notes[0]


def test_twice_the_rate_takes_twice_of_everything():
    one = capacity(Workload(1e5, 1000, 400), Replica(500))
    two = capacity(Workload(2e5, 1000, 400), Replica(500))
    assert two.replicas == pytest.approx(2 * one.replicas, abs=1)
    assert two.broker_write == 2 * one.broker_write


@pytest.mark.parametrize(
    "replica", [Replica(1000 / 2.7), Replica(20_000, gpu=True)], ids=["cores", "gpu"]
)
def test_the_page_about_scaling_says_what_is_computed(replica):
    page = (Path(__file__).parents[3] / "docs" / "scaling.md").read_text()
    needed = capacity(Workload(1e6, 200, 400), replica)
    for figure in (needed.replicas, needed.partitions, needed.requests, needed.transactions):
        assert f"| {figure:,.0f} |" in page
    assert f"| {needed.broker_write / 1e6:,.0f} MB/s |" in page

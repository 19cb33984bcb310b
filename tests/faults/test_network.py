"""Brokers that die and networks that fail: the daemon gets over it by itself."""

import sys

import pytest

from faults import scenarios
from faults.flow import Site
from faults.proxied import proxied
from streamer.embedded import EmbeddedCluster

MODES = ["exactly-once", "at-least-once"]
RECOVERED_S = 30
"""Within which the daemon recovers by itself: a promise to users, far from what it takes."""


def told(outcome, capsys):
    with capsys.disabled():
        sys.stdout.write(f"\n{outcome}\n")


@pytest.mark.timeout(400)
def test_a_network_that_stalls_breaks_or_loses_bytes_loses_no_record(tmp_path):
    with (
        proxied(tmp_path / "broker") as (direct, shown, proxy, _),
        Site(direct, tmp_path, reached=shown) as site,
    ):
        modes = ["stall", "reset", "halve"]
        outcome = scenarios.cuts(site, proxy, "exactly-once", modes=modes, rate=100, lasts=4)
    outcome.require()


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("delivery", MODES)
def test_a_network_that_fails_again_and_again_loses_no_record(delivery, tmp_path, capsys):
    with (
        proxied(tmp_path / "broker") as (direct, shown, proxy, _),
        Site(direct, tmp_path, reached=shown) as site,
    ):
        modes = ["stall", "reset", "halve"] * 4
        outcome = scenarios.cuts(site, proxy, delivery, modes=modes, rate=100, lasts=4)
    told(outcome, capsys)
    outcome.require()
    assert max(outcome.recovered_s) < RECOVERED_S


@pytest.mark.timeout(400)
def test_brokers_of_a_cluster_die_in_turn(tmp_path):
    with EmbeddedCluster() as cluster, Site(cluster.bootstrap_servers, tmp_path) as site:
        scenarios.outages(site, cluster, "exactly-once", rounds=1, rate=100).require()


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("delivery", MODES)
def test_brokers_of_a_cluster_die_again_and_again(delivery, tmp_path, capsys):
    with EmbeddedCluster() as cluster, Site(cluster.bootstrap_servers, tmp_path) as site:
        outcome = scenarios.outages(site, cluster, delivery, rounds=3, rate=100)
    told(outcome, capsys)
    outcome.require()
    assert max(outcome.recovered_s) < RECOVERED_S

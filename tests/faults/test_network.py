"""Brokers that die and networks that fail: the daemon gets over it by itself."""

import pytest

from faults import scenarios
from faults.flow import Site
from faults.proxied import proxied
from streamer.embedded import EmbeddedCluster


@pytest.mark.long
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
@pytest.mark.timeout(400)
def test_brokers_of_a_cluster_die_in_turn(tmp_path):
    with EmbeddedCluster() as cluster, Site(cluster.bootstrap_servers, tmp_path) as site:
        scenarios.outages(site, cluster, "exactly-once", rounds=1, rate=100).require()

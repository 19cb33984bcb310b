"""Members that are slow, named, or named twice."""

import re
import time

from support.waiting import eventually

from faults.flow import Flow

_NAMED = {"KAFKA__SESSION_TIMEOUT": "20s"}


def _metric(daemon, name):
    """Sum a metric over its labels."""
    _, text = daemon.get("/metrics")
    values = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
    return sum(map(float, values))


def _rebalances(daemon):
    return _metric(daemon, "streamer_rebalances_total")


def _assignment(flow, daemon):
    return set(daemon.status(flow.name)["assignment"])


def test_a_batch_slower_than_the_poll_interval_does_not_cost_the_membership(site):
    with Flow(site, "exactly-once", partitions=1) as flow:
        daemon = flow.daemon(delay_ms=300, KAFKA__MAX_POLL_INTERVAL="3s").ready()
        flow.load(0, most=48).finish()
        while daemon.status(flow.name)["records_answered"] < 48:
            daemon.alive()
            assert site.topics.members(flow.name) == 1
            time.sleep(0.2)
        # there was reason to lose it
        assert _metric(daemon, "streamer_inference_duration_seconds_sum") > 3 * 3
        assert _rebalances(daemon) == 1
        found = flow.finished()
        assert found.exactly_once, found


def test_a_named_member_that_comes_back_has_its_partitions_again(site):
    with Flow(site, "exactly-once", partitions=4) as flow:
        one = flow.daemon(KAFKA__GROUP_INSTANCE_ID="one", **_NAMED).ready()
        two = flow.daemon(KAFKA__GROUP_INSTANCE_ID="two", **_NAMED).ready()
        eventually(lambda: len(_assignment(flow, two)) == 2, "partitions are shared out", 60)
        eventually(lambda: len(_assignment(flow, one)) == 2, "partitions are shared out", 60)
        flow.load(100)
        flow.at_work()
        had, others, moved = _assignment(flow, one), _assignment(flow, two), _rebalances(two)
        assert one.stop() == 0
        assert site.topics.members(flow.name) == 2  # its place is kept
        again = flow.daemon(KAFKA__GROUP_INSTANCE_ID="one", **_NAMED).ready()
        flow.at_work()
        assert _assignment(flow, again) == had
        assert (_assignment(flow, two), _rebalances(two)) == (others, moved)
        found = flow.finished()
        assert found.exactly_once, found


def test_a_name_taken_twice_ends_the_first_with_a_readable_error(site):
    with Flow(site, "exactly-once", partitions=2) as flow:
        first = flow.daemon(KAFKA__GROUP_INSTANCE_ID="same").ready()
        flow.load(50)
        flow.at_work()
        second = flow.daemon(KAFKA__GROUP_INSTANCE_ID="same")
        assert first.process.wait(60) == 1
        assert "another process uses the same group_instance_id" in first.text
        second.ready()
        found = flow.finished()
        assert found.exactly_once, found

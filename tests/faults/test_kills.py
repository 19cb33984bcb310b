"""kill -9, comings and goings, frozen processes: nothing lost, nothing twice."""

import sys

import pytest

from faults import scenarios

MODES = ["exactly-once", "at-least-once"]


@pytest.mark.parametrize("delivery", MODES)
def test_what_kill_9_interrupts_is_answered_after_it(delivery, site):
    outcome = scenarios.kills(site, delivery, times=4, in_flight=2, records=3000, rate=150)
    outcome.require()
    assert outcome.in_flight
    if delivery == "exactly-once":
        assert outcome.verdict.aborted


@pytest.mark.parametrize("delivery", MODES)
def test_three_daemons_that_come_and_go_answer_as_one_would(delivery, site):
    scenarios.comings(site, delivery, times=3, rate=100).require()


def test_a_zombie_that_wakes_is_refused(site):
    outcome = scenarios.zombies(site, times=1, rate=150)
    outcome.require()
    assert outcome.verdict.aborted


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("delivery", MODES)
def test_twenty_kills_over_twenty_thousand_records(delivery, site, capsys):
    outcome = scenarios.kills(site, delivery, times=20, in_flight=15, records=20_000, rate=120)
    with capsys.disabled():
        sys.stdout.write(f"\n{outcome}\n")
    outcome.require()
    assert outcome.in_flight >= 15


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("delivery", MODES)
def test_three_daemons_come_and_go_for_minutes(delivery, site, capsys):
    outcome = scenarios.comings(site, delivery, times=30, rate=100)
    with capsys.disabled():
        sys.stdout.write(f"\n{outcome}\n")
    outcome.require()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_twenty_zombies_are_refused(site, capsys):
    outcome = scenarios.zombies(site, times=20, rate=150)
    with capsys.disabled():
        sys.stdout.write(f"\n{outcome}\n")
    outcome.require()
    assert outcome.verdict.aborted

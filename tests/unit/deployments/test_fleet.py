from streamer.deployments.deployment import Deployment
from streamer.deployments.events import (
    Changed,
    Report,
    Serves,
    Swapped,
    fleet_of,
    progress,
    read_event,
    stand_in,
)
from streamer.records import Record


def record(value, key="report/a", at=100.0, offset=0):
    value = value if value is None or isinstance(value, bytes) else value.model_dump_json().encode()
    return Record("events", 0, offset, int(at * 1000), key.encode(), value)


def report(daemon, version, state="serving", wanted=None, reason=None):
    serves = Serves(version=version, wanted=wanted or version, state=state, reason=reason)
    return Report(daemon=daemon, models={"signs": serves}, valid_s=15)


def test_the_last_report_of_each_daemon_stands():
    fleet = fleet_of(
        [
            record(report("a", "1")),
            record(report("b", "1"), "report/b"),
            record(report("a", "2"), at=104),
        ]
    )
    assert {name: one.version for name, one in fleet.serving("signs", 105).items()} == {
        "a": "2",
        "b": "1",
    }


def test_who_is_silent_too_long_or_has_said_goodbye_is_gone():
    fleet = fleet_of([record(report("a", "1")), record(report("b", "1"), "report/b", at=110)])
    assert [one.daemon for one in fleet.alive(115)] == ["a", "b"]
    assert [one.daemon for one in fleet.alive(116)] == ["b"]
    fleet.note(record(None, "report/b", at=111))
    assert fleet.alive(112) == [report("a", "1")]


def test_a_daemon_counts_for_the_models_it_has():
    fleet = fleet_of([record(report("a", "1"))])
    assert fleet.serving("moods", 101) == {}


def test_progress_tells_who_serves_who_does_not_yet_and_who_never_will():
    serving = {
        "a": Serves(version="2", wanted="2", state="serving"),
        "b": Serves(version="1", wanted="2", state="loading"),
        "c": Serves(version="1", wanted="2", state="failed", reason="NaN"),
        "d": Serves(version="1", wanted="1", state="serving"),
        "e": Serves(version="1", wanted="3", state="failed", reason="of another one"),
    }
    assert progress(serving, "2") == (1, ["b", "d", "e"], {"c": "NaN"})


def test_events_are_read_by_their_kind_and_strangers_are_passed_over():
    swapped = Swapped(daemon="a", model="signs", version="2", before="1", outcome="swapped")
    changed = Changed(model="signs", action="promote", by="ann", after=Deployment(champion="2"))
    for event in (swapped, changed, report("a", "1")):
        assert read_event(record(event)) == event
    for value in (None, b"", b"[]", b'{"kind": "later"}', b'{"kind": "swap"}'):
        assert read_event(record(value)) is None


def test_a_deployment_is_read_whatever_a_later_release_adds():
    deployment = Deployment(champion="2", previous="1", by="ann", at="now")
    assert Deployment.read(deployment.written()) == deployment
    assert Deployment.read(b'{"champion": "2", "weather": "fine"}') == Deployment(champion="2")
    for value in (None, b"", b"{}", b"2"):
        assert Deployment.read(value) is None


def swapped(version: str, before: str, outcome: str = "swapped") -> Swapped:
    return Swapped(daemon="a", model="m", version=version, before=before, outcome=outcome)


def test_what_stands_in_is_what_served_last_not_what_was_deployed_last():
    new = Deployment(champion="3", previous="2")
    assert stand_in([], new) == ("2", False)
    assert stand_in([swapped("2", "1")], new) == ("2", False)
    assert stand_in([swapped("2", "1", "failed")], new) == ("1", False)
    served = [swapped("2", "1", "failed"), swapped("3", "1")]
    assert stand_in(served, new) == ("1", True)
    assert stand_in([*served, swapped("3", "1", "failed")], new) == ("1", False)
    alone = swapped("3", "", "failed")  # a daemon that had nothing to serve
    assert stand_in([alone], new) == ("2", False)
    assert stand_in([], Deployment(champion="1")) == (None, False)

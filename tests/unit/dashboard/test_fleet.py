"""What the deployments and events topics tell the page."""

import time

import pytest
from support.waiting import eventually

from streamer.config import Settings
from streamer.dashboard.fleet import Deployed
from streamer.deployments.deployment import Deployment
from streamer.deployments.events import Changed, Report, Swapped
from streamer.errors import BrokerError
from streamer.records import Record
from streamer.retraining.progress import Told

SETTINGS = Settings()


class Topic:
    """A topic in a list; more may come."""

    def __init__(self, records):
        self.records = records
        self.read = 0

    def to_end(self):
        yield from self.more(0)

    def more(self, timeout):
        time.sleep(min(timeout, 0.01))
        fresh = self.records[self.read :]
        self.read += len(fresh)
        yield from fresh

    def close(self):
        pass


def record(value, key=None):
    now = int(time.time() * 1000)
    return Record("topic", 0, 0, now, key, None if value is None else value.encode(), ())


def told(event):
    return record(event.model_dump_json())


def report(**changed):
    given = {"daemon": "d/1", "valid_s": 60.0, "url": "http://d:8080", **changed}
    return record(Report.model_validate(given).model_dump_json(), b"report/d/1")


@pytest.fixture
def follow():
    opened = []

    def begin(deployments, events):
        names = SETTINGS.deployments
        topics = {names.topic: Topic(deployments), names.events_topic: Topic(events)}
        found = Deployed(SETTINGS, lambda _, topic: topics[topic])
        opened.append(found)
        found.start()
        eventually(lambda: found.state()["error"] is None, "both topics are read")
        return found

    yield begin
    for one in opened:
        one.stop()


def test_daemons_are_found_by_what_they_report(follow):
    found = follow([], [report()])
    assert found.urls() == ["http://d:8080"]


def test_a_daemon_that_said_goodbye_is_not_found(follow):
    assert follow([], [report(), record(None, b"report/d/1")]).urls() == []


def test_a_deployment_is_shown_with_who_serves_it(follow):
    serving = {"m": {"version": "2", "wanted": "2", "state": "serving"}}
    deployment = Deployment(champion="2", candidate="3", mode="canary", shares={"3": 0.1})
    found = follow([record(deployment.model_dump_json(), b"m")], [report(models=serving)])
    [model] = found.state()["models"]
    assert (model["model"], model["champion"], model["candidate"]) == ("m", "2", "3")
    assert model["serving"] == {"d/1": {"version": "2", "state": "serving", "reason": None}}


def test_what_comes_later_is_shown_too(follow):
    records = []
    found = follow([], records)
    swap = {"daemon": "d", "model": "m", "version": "2", "before": "1", "outcome": "swapped"}
    records.append(told(Swapped.model_validate(swap)))
    eventually(lambda: found.state()["events"], "the swap is shown")
    assert found.state()["events"][0]["text"].startswith("d swapped 1 → 2")


def test_a_run_is_one_line_with_its_last_word(follow):
    common = {"model": "m", "by": "sidecar"}
    events = [
        Changed(action="retrain: begun", reason="run 4: 200 labels", at="a", **common),
        Changed(action="retrain: reject", reason="run 4: not better", at="b", **common),
        Changed(action="retrain: begun", reason="run 5: asked for", at="c", **common),
        Changed(action="promote", reason="better", at="d", **common),
    ]
    runs = follow([], [told(event) for event in events]).state()["runs"]
    assert [(run["run"], run["state"], run["reason"]) for run in runs] == [
        ("5", "begun", "asked for"),
        ("4", "reject", "not better"),
    ]
    assert (runs[1]["began"], runs[1]["at"]) == ("a", "b")


def test_a_broker_that_is_away_is_said_and_waited_for():
    tries = []

    def opened(_, topic):
        tries.append(topic)
        raise BrokerError("Kafka is away", retriable=True)

    found = Deployed(SETTINGS, opened)
    found.start()
    eventually(lambda: found.state()["error"] == "Kafka is away", "it is said")
    found.stop()
    assert tries


def learning(**changed):
    told = Told.model_validate({"model": "m", "at": "z", "url": "http://s:8080", **changed})
    return record(told.model_dump_json(), told.key.encode())


def test_a_sidecar_is_found_and_how_far_it_is_is_shown(follow):
    found = follow([], [learning(taken=50, due_at=200), learning(stage="compares", run=4, why="w")])
    assert found.urls() == ["http://s:8080"]
    [told] = found.state()["learning"]
    assert (told["run"], told["stage"], told["progress"], told["silent"]) == (
        4,
        "compares",
        0.5,
        False,
    )


def test_the_epochs_of_a_run_are_part_of_its_progress(follow):
    [told] = follow([], [learning(stage="learns", run=4, learnt=0.5)]).state()["learning"]
    assert told["progress"] == 2.5 / 6


def test_between_runs_the_labels_that_are_missing_are_the_progress(follow):
    records = [learning(taken=50, due_at=200), record("[1]", b"retraining/other")]
    [told] = follow([], records).state()["learning"]
    assert (told["stage"], told["progress"]) == ("collects", 0.25)

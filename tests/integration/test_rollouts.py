"""Candidates beside champions, and the one decider of a fleet, on a real broker."""

import json
from uuid import uuid4

import pytest
from support.topics import Sent
from support.versions import version
from support.waiting import eventually

from streamer.config import Settings
from streamer.config.settings import DeploymentSettings, KafkaSettings
from streamer.deployments import Ledger
from streamer.deployments.rollout import Rollout, splitter, trying

TEXTS = (b"good fine", b"awful bad", b"fine", b"bad")


class Fleet:
    """Daemons that serve one registered model, and what is written to them."""

    def __init__(self, broker, topics, daemons, folder) -> None:
        name = uuid4().hex[:8]
        self.topics = topics
        self.daemons = daemons
        self.models = folder / "models"
        self.names = DeploymentSettings(topic=f"deployments-{name}", events_topic=f"events-{name}")
        kafka = KafkaSettings(bootstrap_servers=broker)
        self.settings = Settings(kafka=kafka, deployments=self.names)
        self.source = topics.make(4)
        self.sink = f"{self.source}.out"
        made = (self.sink, f"{self.sink}.deadletters", f"{self.sink}.shadow")
        topics.own(self.names.topic, self.names.events_topic, *made)
        self.sent = 0

    def start(self, instance: str):
        topology = {
            "name": self.source,
            "source": {"topics": [self.source], "format": "text"},
            "models": {"mood": {"uri": "registry:mood"}},
            "steps": {"mood": {"model": "mood"}},
            "sink": {"topic": self.sink},
        }
        return self.daemons.start(
            topology,
            INSTANCE=instance,
            DEPLOYMENTS__TOPIC=self.names.topic,
            DEPLOYMENTS__EVENTS_TOPIC=self.names.events_topic,
            DEPLOYMENTS__HEARTBEAT="1s",
        )

    def send(self, count: int = 200) -> None:
        """Write records of 500 keys."""
        records = [
            Sent(TEXTS[number % 4], key=b"user-%d" % (number % 500), partition=number % 500 % 4)
            for number in range(self.sent, self.sent + count)
        ]
        self.sent += self.topics.send(self.source, records)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.settings)

    def begin(self, candidate: str, **rollout) -> None:
        """Put a candidate beside the champion."""
        given = Rollout.model_validate(rollout)
        self.ledger.change("mood", given.mode, trying(candidate, given, by="ann"))

    def ended(self) -> bool:
        """Send more, and look whether the rollout has ended."""
        self.send()
        return self.ledger.read()["mood"].candidate is None

    def answers(self) -> list:
        return self.topics.read(self.sink)


@pytest.fixture
def fleet(broker, topics, daemons, tmp_path):
    version(tmp_path / "models", "mood", "1")
    return Fleet(broker, topics, daemons, tmp_path)


def test_a_broken_canary_is_taken_back_by_rule_and_each_key_stays_on_its_side(fleet):
    running = [fleet.start("one").ready(), fleet.start("two").ready()]
    version(fleet.models, "mood", "2", "nan")
    fleet.begin("2", mode="canary", share="30%", max_time="60s")
    eventually(fleet.ended, "the canary is taken back", every=0.5)
    eventually(
        lambda: sum(d.status(fleet.source)["records_in_flight"] for d in running) == 0,
        "everything is answered",
    )
    now = fleet.ledger.read()["mood"]
    assert (now.champion, now.candidate) == ("1", None)
    story = [(event.action, event.by) for event in fleet.ledger.history("mood")]
    assert [action for action, _ in story] == ["first", "canary", "rollback"]
    assert story[2][1].startswith("the rules, on ")
    assert "errors: the candidate fails on" in now.reason
    letters = fleet.topics.read(f"{fleet.sink}.deadletters")
    assert letters
    chosen = splitter("mood", "2", 0.3)
    for letter in letters:  # only the candidate failed, and only on its own keys
        assert letter.error("reason") == "non-finite"
        assert chosen(letter)
    by_key = {answer.key for answer in fleet.answers() if chosen(answer)}
    assert by_key  # after the rollback the champion answers these keys again
    assert [daemon.stop() for daemon in running] == [0, 0]


def test_a_good_canary_is_promoted_and_the_reason_told(fleet):
    running = fleet.start("one").ready()
    version(fleet.models, "mood", "2")
    rules = {"min_samples": 300, "error_floor": "5%", "max_latency_ratio": 20}
    fleet.begin("2", mode="canary", share="50%", max_time="60s", **rules)
    eventually(fleet.ended, "the canary is promoted", every=0.5)
    now = fleet.ledger.read()["mood"]
    assert (now.champion, now.previous) == ("2", "1")
    assert "latency: the candidate takes" in now.reason
    versions = {answer.json["predictions"]["mood"]["version"] for answer in fleet.answers()}
    assert versions == {"1", "2"}
    assert running.stop() == 0


def test_a_shadow_with_wrong_answers_is_taken_back_and_users_never_saw_it(fleet):
    running = fleet.start("one").ready()
    version(fleet.models, "mood", "2", "wrong")
    fleet.send(20)
    fleet.begin("2", mode="shadow", share="100%", max_time="60s", min_agreement="90%")
    eventually(fleet.ended, "the shadow is taken back", every=0.5)
    assert "agreement: the same answer on 0.00%" in fleet.ledger.read()["mood"].reason
    eventually(lambda: len(fleet.answers()) == fleet.sent, "everything is answered")
    assert {answer.json["predictions"]["mood"]["version"] for answer in fleet.answers()} == {"1"}
    aside = fleet.topics.read(f"{fleet.sink}.shadow")
    assert {answer.json["predictions"]["mood"]["version"] for answer in aside} == {"2"}
    told = json.loads(running.get("/status")[1])
    assert told["decider"]["decides"] is True
    assert running.stop() == 0


def test_of_two_versions_in_an_ab_test_a_person_decides(fleet):
    running = fleet.start("one").ready()
    version(fleet.models, "mood", "2", "nan")
    fleet.begin("2", mode="ab", share="50%", max_time="60s")

    def told() -> bool:
        fleet.send()
        return fleet.ledger.history("mood")[-1].action == "verdict: rollback"

    eventually(told, "the verdict is told", every=0.5)
    assert fleet.ledger.read()["mood"].candidate == "2"
    metrics = running.get("/metrics")[1]
    assert 'streamer_rollout_info{candidate="2",mode="ab",model="mood"} 1.0' in metrics
    assert 'streamer_rollout_errors{arm="candidate",model="mood"}' in metrics
    status = json.loads(running.get("/status")[1])["rollouts"]["mood"]
    assert status["candidate_errors"] == status["candidate_records"] > 0
    assert running.stop() == 0

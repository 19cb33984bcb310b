"""Candidates beside champions, and the one decider of a fleet, on a real broker.

Two daemons serve all tests of this file: each test puts a candidate of its own beside version 1,
and leaves version 1 serving alone.
"""

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest
import yaml
from support.daemon import Daemon, Daemons
from support.topics import Got, Sent, Topics
from support.versions import version
from support.waiting import eventually

from streamer.broker import Producer
from streamer.config import Settings
from streamer.config.settings import DeploymentSettings, KafkaSettings, ModelSettings
from streamer.deployments import Deployment, Ledger, rolling_back
from streamer.deployments.counts import labelled
from streamer.deployments.ledger import event_record, send
from streamer.deployments.rollout import KeySplit, Mode
from streamer.operate.rollout import Asked, TakenBackError, await_end, begin

TEXTS = (b"good fine", b"awful bad", b"fine", b"bad")
LABELS = ("good", "bad", "good", "bad")
WINDOW = "90s"


class Fleet:
    """Two daemons that serve one registered model, and what is written to them."""

    def __init__(self, topics: Topics, daemons: Daemons) -> None:
        name = uuid4().hex[:8]
        names = DeploymentSettings(topic=f"deployments-{name}", events_topic=f"events-{name}")
        kafka = KafkaSettings(bootstrap_servers=topics.brokers)
        self.topics, self.models = topics, daemons.folder / "models"
        models = ModelSettings(dir=self.models)
        self.settings = Settings(kafka=kafka, deployments=names, models=models)
        self.source = topics.make(4)
        self.sink = f"{self.source}.out"
        made = (self.sink, f"{self.sink}.deadletters", f"{self.sink}.shadow")
        topics.own(names.topic, names.events_topic, *made)
        self.sent = 0
        version(self.models, "mood", "1")
        self.daemons = {one: self._start(daemons, one) for one in ("one", "two")}
        for daemon in self.daemons.values():
            daemon.ready()
        self.ledger = Ledger(self.settings)

    def _start(self, daemons: Daemons, instance: str) -> Daemon:
        topology = {
            "name": self.source,
            "source": {"topics": [self.source], "format": "text"},
            "models": {"mood": {"uri": "registry:mood"}},
            "steps": {"mood": {"model": "mood"}},
            "sink": {"topic": self.sink},
        }
        names = self.settings.deployments
        return daemons.start(
            topology,
            INSTANCE=instance,
            DEPLOYMENTS__TOPIC=names.topic,
            DEPLOYMENTS__EVENTS_TOPIC=names.events_topic,
            DEPLOYMENTS__HEARTBEAT="1s",
        )

    def status(self) -> dict[str, dict]:
        return {
            name: json.loads(daemon.get("/status")[1])
            for name, daemon in self.daemons.items()
            if daemon.process.poll() is None
        }

    def send(self, count: int = 200) -> None:
        """Write records of 500 keys."""
        records = [
            Sent(TEXTS[number % 4], key=b"user-%d" % (number % 500), partition=number % 500 % 4)
            for number in range(self.sent, self.sent + count)
        ]
        self.sent += self.topics.send(self.source, records)

    def begin(self, candidate: str, kind: str, *, mode: Mode, share: str, **rules) -> Deployment:
        """Add a version, and put it beside the champion, as `streamer models rollout` does."""
        version(self.models, "mood", candidate, kind)
        file = self.models / "rules.yaml"
        file.write_text(yaml.safe_dump(rules))
        asked = Asked("mood", candidate, mode, share, WINDOW, file, expected="1", by="ann")
        return begin(asked, self.settings)

    def ended(self) -> bool:
        """Send more, and look whether the rollout has ended."""
        self.send()
        return self.ledger.read()["mood"].candidate is None

    def taken_back(self) -> str:
        """Wait until the rules take the candidate back; give their reason."""
        eventually(self.ended, "the candidate is taken back", every=0.5)
        now = self.ledger.read()["mood"]
        assert (now.champion, now.candidate) == ("1", None)
        change = self.ledger.history("mood")[-1]
        assert (change.action, change.by.split(",")[0]) == ("rollback", "the rules")
        assert "max_time" not in now.reason.split(";")[0]
        return now.reason

    def answers(self, topic: str | None = None) -> list[Got]:
        """Read the predictions, all of what was sent."""
        return self.topics.read(topic or self.sink)


@pytest.fixture(scope="module")
def fleet(broker, kafka_admin, tmp_path_factory) -> Iterator[Fleet]:
    topics = Topics(broker, kafka_admin)
    daemons = Daemons(broker, tmp_path_factory.mktemp("fleet"))
    try:
        yield Fleet(topics, daemons)
    finally:
        daemons.close()
        topics.close()


def by(answer: Got) -> str:
    return answer.json["predictions"]["mood"]["version"]


def test_a_canary_that_gives_no_numbers_is_taken_back_and_each_key_stays_on_its_side(fleet):
    fleet.begin("2", "nan", mode="canary", share="30%")
    assert "errors: the candidate fails on" in fleet.taken_back()
    letters = fleet.topics.read(f"{fleet.sink}.deadletters", 1)
    chosen = KeySplit("mood", "2", 0.3)
    for letter in letters:  # only the candidate failed, and only on its own keys
        assert letter.error("reason") == "non-finite"
        assert chosen(letter)
    told = [daemon["rollouts"] for daemon in fleet.status().values()]
    assert told == [{}, {}]


def test_a_canary_that_is_ten_times_slower_is_taken_back(fleet):
    begun = fleet.begin("3", "slow", mode="canary", share="30%")
    assert "latency: the candidate takes" in fleet.taken_back()
    with pytest.raises(TakenBackError, match=r"mood 3 does not serve: version 1, .* the rules"):
        await_end("mood", begun, fleet.settings)


def test_a_canary_with_wrong_answers_is_taken_back_by_what_labels_say(fleet):
    begun = fleet.begin("4", "wrong", mode="canary", share="30%", accuracy={"margin": "5%"})
    chosen = KeySplit("mood", "4", 0.3)
    producer = Producer(fleet.settings.kafka)
    before = fleet.sent

    def judged() -> bool:
        """Join the answers with the labels, as whoever has labels does, and tell the counts."""
        told = []
        for answer in fleet.answers():
            number = 4 * (answer.json["source"]["offset"]) + answer.json["source"]["partition"]
            if number >= before:
                best = answer.json["predictions"]["mood"]["output"][0]["label"]
                told.append((by(answer), best == LABELS[number % 4]))
                assert chosen(answer) or by(answer) == "1"
        counts = labelled("labels", "mood", begun, told)
        value = counts.model_dump_json().encode()
        send(producer, [event_record(fleet.settings, value, counts.key.decode())])
        return fleet.ended()

    eventually(judged, "the candidate is taken back", every=0.5)
    producer.close()
    assert "accuracy: -" in fleet.taken_back()


def test_a_shadow_that_disagrees_is_taken_back_and_users_never_saw_it(fleet):
    fleet.begin("5", "wrong", mode="shadow", share="100%", min_agreement="90%")
    assert "agreement: the same answer on 0.00%" in fleet.taken_back()
    assert {by(answer) for answer in fleet.answers(f"{fleet.sink}.shadow")} == {"5"}
    assert "5" not in {by(answer) for answer in fleet.answers()}


def test_of_two_versions_in_an_ab_test_a_person_decides(fleet):
    fleet.begin("6", "nan", mode="ab", share="50%")

    def told() -> bool:
        fleet.send()
        return fleet.ledger.history("mood")[-1].action == "verdict: rollback"

    eventually(told, "the verdict is told", every=0.5)
    assert fleet.ledger.read()["mood"].candidate == "6"
    metrics = fleet.daemons["one"].get("/metrics")[1]
    assert 'streamer_rollout_info{candidate="6",mode="ab",model="mood"} 1.0' in metrics
    assert 'streamer_rollout_errors{arm="candidate",model="mood"}' in metrics
    status = fleet.status()["one"]["rollouts"]["mood"]
    assert status["candidate_errors"] == status["candidate_records"]
    fleet.ledger.change("mood", "rollback", rolling_back(by="ann"))


def test_after_the_deciders_death_another_daemon_decides_on_the_counts_of_both(fleet):
    [decider] = [name for name, told in fleet.status().items() if told["decider"]["decides"]]
    [other] = set(fleet.daemons) - {decider}
    rules = {"error_floor": "5%", "max_latency_ratio": 20}
    begun = fleet.begin("7", "good", mode="canary", share="50%", **rules)
    fleet.send(400)
    fleet.daemons[decider].kill()
    eventually(fleet.ended, "the canary is promoted", every=0.5)
    now = fleet.ledger.read()["mood"]
    assert (now.champion, now.previous) == ("7", "1")
    assert await_end("mood", begun, fleet.settings) == now
    assert now.by.startswith(f"the rules, on {other}/")
    assert "latency: the candidate takes" in now.reason
    assert fleet.daemons[other].stop() == 0

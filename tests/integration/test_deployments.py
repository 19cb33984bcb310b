"""What is deployed is changed by one operator at a time, whatever dies meanwhile."""

import threading
from uuid import uuid4

import pytest

from streamer.broker import Producer
from streamer.config import Settings
from streamer.config.settings import DeploymentSettings, KafkaSettings
from streamer.deployments import ChangedMeanwhileError, Deployment, Ledger, promoting, rolling_back
from streamer.deployments.ledger import _transactional_id


@pytest.fixture
def settings(broker, topics):
    name = uuid4().hex[:8]
    given = DeploymentSettings(topic=f"deployments-{name}", events_topic=f"events-{name}")
    topics.own(given.topic, given.events_topic)
    kafka = KafkaSettings(bootstrap_servers=broker, transaction_timeout="6s")
    return Settings(kafka=kafka, deployments=given)


@pytest.fixture
def ledger(settings):
    return Ledger(settings)


def test_a_promotion_is_read_back_with_its_story(ledger, settings, topics):
    assert ledger.read() == {}
    first = ledger.change("signs", "promote", promoting("1", by="ann", reason="it is there"))
    second = ledger.change("signs", "promote", promoting("2", by="bob", expected="1"))
    other = ledger.change("moods", "promote", promoting("7", by="ann"))
    assert ledger.read() == {"signs": second, "moods": other}
    assert (second.champion, second.previous, second.by) == ("2", "1", "bob")
    back = ledger.change("signs", "rollback", rolling_back(by="ann", reason="too slow"))
    assert (back.champion, back.previous) == ("1", "2")
    story = ledger.history("signs")
    assert [(e.action, e.by, e.before, e.after) for e in story] == [
        ("promote", "ann", None, first),
        ("promote", "bob", first, second),
        ("rollback", "ann", second, back),
    ]
    assert len(ledger.history()) == 4
    written = topics.read(settings.deployments.topic)
    assert [one.key for one in written] == [b"signs", b"signs", b"moods", b"signs"]
    assert Deployment.read(written[-1].value) == back


def test_who_expects_another_version_writes_nothing(ledger):
    now = ledger.change("signs", "promote", promoting("2", by="ann"))
    told = "version 1 was expected to serve; changed meanwhile by ann: version 2"
    with pytest.raises(ChangedMeanwhileError, match=told):
        ledger.change("signs", "promote", promoting("3", by="bob", expected="1"))
    assert ledger.read() == {"signs": now}


def test_of_two_operators_at_once_one_is_refused_and_told_by_whom(ledger, settings):
    ledger.change("signs", "promote", promoting("1", by="ann"))
    other = Ledger(settings)

    def in_between(found):
        other.change("signs", "promote", promoting("2", by="bob"))
        return promoting("3", by="ann", expected="1")(found)

    with pytest.raises(ChangedMeanwhileError, match="signs: changed meanwhile by bob: version 2"):
        ledger.change("signs", "promote", in_between)
    assert ledger.read()["signs"].champion == "2"
    assert [(e.by, e.after.champion) for e in ledger.history()] == [("ann", "1"), ("bob", "2")]


def test_of_many_operators_who_saw_the_same_one_succeeds(ledger, settings):
    ledger.change("signs", "promote", promoting("0", by="ann"))
    won, refused = [], []

    def operator(number):
        wanted = promoting(str(number), by=f"operator {number}", expected="0")
        try:
            won.append(Ledger(settings).change("signs", "promote", wanted))
        except ChangedMeanwhileError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=operator, args=(number,)) for number in range(1, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [winner] = won
    assert ledger.read()["signs"] == winner
    assert len(refused) == 2
    assert all(f"changed meanwhile by {winner.by}" in told for told in refused)
    assert len(ledger.history()) == 2


def test_what_a_killed_writer_left_open_is_not_there_and_hinders_nobody(ledger, settings):
    before = ledger.change("signs", "promote", promoting("1", by="ann"))
    dead = Producer(settings.kafka, transactional_id=_transactional_id(settings))
    dead.begin()
    from streamer.deployments.ledger import _record

    torn = Deployment(champion="9", by="dead")
    dead.append(_record(settings.deployments.topic, b"signs", torn.written()), 0)
    dead.flush()  # and no commit: it is killed here
    assert ledger.read() == {"signs": before}
    after = ledger.change("signs", "promote", promoting("2", by="bob", expected="1"))
    assert ledger.read() == {"signs": after}
    dead.close(timeout=0)


def test_a_commit_whose_answer_is_lost_is_found_written_and_not_written_again(
    ledger, settings, monkeypatch
):
    from streamer.errors import BrokerError

    commit = Producer.commit
    lost = []

    def commits_and_loses_the_answer(producer, *given):
        commit(producer, *given)
        if not lost:
            lost.append(producer)
            raise BrokerError("no answer", retriable=True)

    monkeypatch.setattr(Producer, "commit", commits_and_loses_the_answer)
    made = ledger.change("signs", "promote", promoting("1", by="ann"))
    assert lost
    assert ledger.read() == {"signs": made}
    assert len(ledger.history()) == 1

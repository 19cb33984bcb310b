"""The command line, the sidecar, the decider and the page with the documented rights."""

import time
from pathlib import Path

import pytest
import yaml
from structlog.testing import capture_logs
from support import learning
from support.daemon import command
from support.secured import PASSWORD, SECRET, Right
from support.secured_flow import Flow
from support.topics import Sent
from support.versions import version
from support.waiting import eventually

from streamer.config import Settings
from streamer.config.settings import DeploymentSettings, HttpSettings
from streamer.dashboard.board import Board
from streamer.deployments import Ledger, promoting
from streamer.deployments.decider import Decider, group_of
from streamer.deployments.events import Report, Serves
from streamer.deployments.rollout import Rollout, trying

DOCS = Path(__file__).parents[3] / "docs" / "security.md"
MECHANISMS = ("scram", "mtls", "oauth")


def saying(broker, folder, models, how="scram", **more):
    """Give what runs a command as the daemon's user: its exit code, and all it wrote."""
    environment = {
        **broker.environment(how, folder),
        "STREAMER_MODELS__DIR": str(models),
        **more,
    }

    def said(*arguments):
        code, text = command(*arguments, environment=environment, folder=folder)
        assert PASSWORD not in text
        assert SECRET not in text
        return code, text

    return said


def reads(*topics):
    return [Right("TOPIC", topic, "Read") for topic in topics]


def writes(*topics):
    return [Right("TOPIC", topic, "Write") for topic in topics]


def changes(names):
    """What promote, rollback and rollout need."""
    writer = Right("TRANSACTIONAL_ID", f"{names.topic}-writer", "Write")
    return [*reads(names.topic), *writes(names.topic, names.events_topic), writer]


def decides(names):
    """What a decider needs."""
    group = Right("GROUP", group_of(names), "Read")
    return [*changes(names), *reads(names.events_topic), group]


def shows(source, sink, letters, names):
    """What the page needs."""
    return reads(sink, letters, source, names.topic, names.events_topic)


def learns(model, topics, letters, names):
    """What a sidecar needs; `topics` are those of labels, records and answers."""
    return [
        *reads(*topics, names.topic, names.events_topic),
        *writes(names.events_topic, letters),
        Right("GROUP", f"streamer-retrain-{model}", "Read"),
    ]


def told(right):
    """The part of an error's command that names the right's resource."""
    return f"--{right.kind.lower().replace('_', '-')} {right.name}"


@pytest.fixture
def names(topics):
    return DeploymentSettings(topic=topics.make(1), events_topic=topics.make(1), decide=False)


def test_the_documented_commands_give_these_rights():
    page, names = DOCS.read_text(encoding="utf-8"), DeploymentSettings()
    topics = [f"support.{name}" for name in ("labels", "messages", "intents")]
    for right in (
        *decides(names),
        *shows("street.photos", "street.predictions", "street.deadletters", names),
        *learns("intents", topics, "support.labels.deadletters", names),
    ):
        assert f"acls {right.command}" in page, right


def test_commands_do_their_work_with_the_documented_rights(broker, topics, models, tmp_path):
    flow = Flow(topics, tmp_path, models)
    said = saying(broker, tmp_path, models)
    lines = tmp_path / "lines.txt"
    lines.write_text("good\nbad\n", encoding="utf-8")

    code, text = said("send", flow.source, str(lines))
    assert code == 1
    assert "--topic" in text, "what is missing, by its name"
    broker.grant(Right("TOPIC", flow.source, "Write"))
    code, text = said("send", flow.source, str(lines))
    assert code == 0, text
    broker.grant(*flow.rights)
    code, text = said("check", "--connect", str(flow.file))
    assert code == 0, text
    with flow.running(broker.settings("scram")) as ended:
        assert len(topics.read(flow.sink, 2)) == 2
    assert ended == []
    broker.grant(Right("TOPIC", flow.sink, "Read"), Right("TOPIC", flow.letters, "Read"))
    code, text = said("tail", flow.sink, "--json", "--from-beginning", "--limit", "2")
    assert code == 0, text
    code, text = said("deadletters", "list", flow.letters)
    assert code == 0, text
    again = ("--model", f"mood={models / 'mood'}", "--from", "1h", "--against", "published")
    code, text = said("compare", str(flow.file), *again)
    assert code == 0, text


def test_dead_letters_are_replayed_with_the_documented_rights(broker, topics, models, tmp_path):
    flow = Flow(topics, tmp_path, models)
    said = saying(broker, tmp_path, models)
    broker.grant(*flow.rights)
    topics.send(flow.source, [Sent(b"\xff")])
    with flow.running(broker.settings("scram")) as ended:
        topics.read(flow.letters, 1)
    assert ended == []
    code, text = said("deadletters", "replay", flow.letters)
    assert (code, "--group streamer.replay" in text) == (1, True), text
    broker.grant(
        Right("TOPIC", flow.letters, "Read"),
        Right("TOPIC", flow.source, "Write"),
        Right("GROUP", "streamer.replay", "Read"),
        Right("TRANSACTIONAL_ID", f"streamer.replay-{flow.letters}", "Write"),
    )
    code, text = said("deadletters", "replay", flow.letters)
    assert (code, text.strip()) == (0, f"1 replayed to {flow.source}"), text


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", MECHANISMS)
def test_each_command_says_which_right_it_lacks(broker, topics, names, tmp_path, how):
    for number in ("1", "2"):
        version(tmp_path / "models", "mood", number)
    flow = Flow(topics, tmp_path, tmp_path / "models", model="mood/1")
    broker.grant(*flow.rights)
    topics.send(flow.source, [Sent(b"good"), Sent(b"\xff")])
    with flow.running(broker.settings(how)) as ended:
        assert len(topics.read(flow.sink, 1)) == 1
        assert len(topics.read(flow.letters, 1)) == 1
    assert ended == []
    ledger = Ledger(Settings(kafka={"bootstrap_servers": topics.brokers}, deployments=names))
    for number in ("1", "2"):
        ledger.change("mood", "promote", promoting(number, by="an administrator"))
    (tmp_path / "lines.txt").write_text("good\n", encoding="utf-8")
    said = saying(
        *(broker, tmp_path, tmp_path / "models", how),
        STREAMER_DEPLOYMENTS__TOPIC=names.topic,
        STREAMER_DEPLOYMENTS__EVENTS_TOPIC=names.events_topic,
    )
    replay = [
        *reads(flow.letters),
        *writes(flow.source),
        Right("GROUP", "streamer.replay", "Read"),
        Right("TRANSACTIONAL_ID", f"streamer.replay-{flow.letters}", "Write"),
    ]
    published = ("--model", "mood=2", "--from", "1h", "--against", "published")
    needs = [
        (("check", "--connect", str(flow.file)), flow.rights[:3]),
        (("send", flow.source, "lines.txt"), writes(flow.source)),
        (("tail", flow.sink, "--from-beginning", "--limit", "1"), reads(flow.sink)),
        (("compare", str(flow.file), *published), reads(flow.source, flow.sink)),
        (("deadletters", "list", flow.letters), reads(flow.letters)),
        (("deadletters", "show", f"{flow.letters}/0/0"), reads(flow.letters)),
        (("deadletters", "replay", flow.letters), replay),
        (("models", "rollback", "mood"), changes(names)),
        (("models", "promote", "mood", "2"), changes(names)),
        (("models", "rollout", "mood", "1", "--mode", "shadow"), changes(names)),
    ]
    wrong = []
    for arguments, rights in needs:
        for lacking in rights:
            broker.revoke_all()
            broker.grant(*(right for right in rights if right is not lacking))
            began = time.monotonic()
            code, text = said(*arguments)
            if code != 1 or told(lacking) not in text or time.monotonic() - began > 30:
                wrong.append((arguments, lacking, code, text))
        broker.grant(*rights)
        code, text = said(*arguments)
        if code != 0:
            wrong.append((arguments, None, code, text))
    assert wrong == []


@pytest.mark.long
def test_versions_are_followed_and_promoted_with_the_documented_rights(
    broker, topics, names, tmp_path
):
    for number in ("1", "2"):
        version(tmp_path / "models", "mood", number)
    flow = Flow(topics, tmp_path, tmp_path / "models", "at-least-once", "registry:mood")
    follows = [*reads(names.topic, names.events_topic), *writes(names.events_topic)]
    broker.grant(*flow.rights, *follows)
    said = saying(
        *(broker, tmp_path, tmp_path / "models"),
        STREAMER_DEPLOYMENTS__TOPIC=names.topic,
        STREAMER_DEPLOYMENTS__EVENTS_TOPIC=names.events_topic,
    )
    with flow.running(broker.settings("scram"), deployments=names) as ended:
        topics.send(flow.source, [Sent(b"good")])
        assert versions(topics.read(flow.sink, 1)) == ["2"]
        code, text = said("models", "promote", "mood", "1")
        assert code == 1
        assert "kafka-acls.sh" in text, "what is missing, by its name"
        broker.grant(*changes(names))
        code, text = said("models", "promote", "mood", "1", "--wait")
        assert code == 0, text
        topics.send(flow.source, [Sent(b"good")])
        assert versions(topics.read(flow.sink, 2)) == ["2", "1"]
    assert ended == []


def versions(answers):
    return [one.json["predictions"]["predict"]["version"] for one in answers]


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", MECHANISMS)
def test_a_sidecar_works_with_the_documented_rights_and_names_what_is_missing(
    broker, topics, names, tmp_path, how
):
    learning.model(tmp_path / "models", "mood")
    labels = topics.make(1)
    flow = Flow(topics, tmp_path, tmp_path / "models", model="registry:mood")
    file = tmp_path / "retrain.yaml"
    content = {
        "model": "registry:mood",
        "topology": flow.file.name,
        "labels": {"topic": labels, "delay": "0s", "deadletter": flow.letters},
        "strategy": {"kind": "head"},
    }
    said = saying(
        *(broker, tmp_path, tmp_path / "models", how),
        STREAMER_DEPLOYMENTS__TOPIC=names.topic,
        STREAMER_DEPLOYMENTS__EVENTS_TOPIC=names.events_topic,
        STREAMER_DEPLOYMENTS__DECIDE="false",
        STREAMER_HTTP__ENABLED="false",
    )
    topics.send(flow.source, [Sent(b"invoice0")])
    [message] = topics.read(flow.source, 1)
    source = {"topic": flow.source, "partition": 0, "offset": 0, "timestamp": message.timestamp}
    topics.send(labels, [learning.label_of(source, "invoice"), Sent(b"no label")])
    rights = learns("mood", (labels, flow.source, flow.sink), flow.letters, names)
    wrong = []
    for number, lacking in enumerate((*rights, None)):
        # each begins with a set of its own, so that each reads all labels
        content["set"] = str(tmp_path / f"set-{number}")
        file.write_text(yaml.safe_dump(content), encoding="utf-8")
        broker.revoke_all()
        broker.grant(*(right for right in rights if right is not lacking))
        code, text = said("retrain", str(file), "--once")
        if (code != 0) if lacking is None else (told(lacking) not in text):
            wrong.append((lacking, code, text))
    assert {letter.value for letter in topics.read(flow.letters, 1)} == {b"no label"}
    assert wrong == []


@pytest.mark.long
def test_a_decider_decides_with_the_documented_rights_and_names_what_is_missing(
    broker, topics, names
):
    plain = Settings(kafka={"bootstrap_servers": topics.brokers}, deployments=names)
    ledger = Ledger(plain)
    ledger.change("mood", "promote", promoting("1", by="an administrator"))
    serves = Serves(version="1", wanted="1", state="serving")
    alive = Report(daemon="d/1", models={"mood": serves}, valid_s=600)
    topics.send(names.events_topic, [Sent(alive.model_dump_json().encode(), key=b"report/d/1")])
    over = Rollout(max_time=0.1)
    ledger.change("mood", "canary", trying("2", over, by="an administrator"))
    rights = decides(names)
    settings = Settings(kafka=broker.settings("scram"), deployments=names)
    with capture_logs() as logs:
        for lacking in rights:
            broker.revoke_all()
            broker.grant(*(right for right in rights if right is not lacking))
            decider = Decider(settings, "me")
            decider.start()
            eventually(
                lambda lacking=lacking: [one for one in logs if told(lacking) in str(one)],
                f"it says that it lacks {lacking}",
            )
            decider.stop()
            logs.clear()
            assert ledger.read()["mood"].candidate == "2"
        broker.grant(*rights)
        decider = Decider(settings, "me")
        decider.start()
        eventually(lambda: ledger.read()["mood"].candidate is None, "it is decided")
        decider.stop()
    assert ledger.history("mood")[-1].by == "the rules, on me"


def test_the_page_shows_what_it_may_read_and_names_what_it_may_not(
    broker, topics, names, models, tmp_path
):
    flow = Flow(topics, tmp_path, models)
    broker.grant(*flow.rights)
    topics.send(flow.source, [Sent(b"good"), Sent(b"\xff")])
    plain = Settings(kafka={"bootstrap_servers": topics.brokers}, deployments=names)
    Ledger(plain).change("mood", "promote", promoting("1", by="an administrator"))
    (tmp_path / "page").mkdir()
    certificate, key = broker.authority.issue(tmp_path / "page", "page")
    kafka = broker.settings("mtls", ssl_certfile=certificate, ssl_keyfile=key)
    settings = Settings(kafka=kafka, deployments=names)
    rights = shows(flow.source, flow.sink, flow.letters, names)
    with flow.running(broker.settings("scram"), http=HttpSettings(port=0)) as ended:
        topics.read(flow.letters, 1)
        for lacking in (*rights, None):
            broker.grant(*(right for right in rights if right is not lacking), user="page")
            with Board(settings, [flow.url]) as board:
                if lacking is None:
                    eventually(lambda board=board: shows_all(board.state()), "it shows everything")
                else:
                    eventually(
                        lambda board=board, lacking=lacking: told(lacking) in str(board.state()),
                        f"it says that it lacks {lacking}",
                    )
            broker.revoke_all("page")
    assert ended == []


def shows_all(state):
    return (
        state["texts"]
        and state["letters"]
        and state["results_error"] is None
        and [one["model"] for one in state["deployed"]["models"]] == ["mood"]
        and state["deployed"]["error"] is None
    )


def test_the_page_says_at_once_why_it_is_not_let_in(broker):
    changed = {"sasl_plain_password": "wrong"}
    kafka = broker.settings("scram", **changed)
    began = time.monotonic()
    with Board(Settings(kafka=kafka), ["http://127.0.0.1:1"]) as board:
        eventually(lambda: "refuses" in str(board.state()["deployed"]["error"]), "it says why")
    assert time.monotonic() - began < 10

"""Kafka over TLS with passwords, certificates and tokens, and with no more rights than needed."""

import re
import shutil
import time
from pathlib import Path

import pytest
import yaml
from support import learning, tiny
from support.daemon import command
from support.pki import Authority
from support.secured import LOCK, PASSWORD, SECRET, USER, Right, secured
from support.secured_flow import Flow
from support.topics import Sent, Topics
from support.versions import version
from support.waiting import eventually

from streamer.broker import Reader, wait_for_brokers
from streamer.broker.connection import unreachable_reason
from streamer.config.settings import DeploymentSettings
from streamer.errors import BrokerError

DOCS = Path(__file__).parents[2] / "docs" / "security.md"


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with secured(tmp_path_factory.mktemp("secured")) as made:
        yield made


@pytest.fixture
def topics(broker):
    made = Topics(broker.kafka.bootstrap_servers, broker.admin)
    yield made
    made.close()
    broker.revoke_all()


@pytest.fixture
def models(tmp_path):
    tiny.text_model(tmp_path / "models")
    return tmp_path / "models"


@pytest.mark.parametrize("how", ["scram", "plain", "mtls", "oauth"])
def test_a_daemon_with_the_least_rights_answers(broker, topics, models, tmp_path, how):
    delivery = "at-least-once" if how == "plain" else "exactly-once"
    flow = Flow(topics, tmp_path, models, delivery)
    broker.grant(*flow.rights)
    topics.send(flow.source, [Sent(b"good"), Sent(b"\xff")])
    with flow.running(broker.settings(how)) as ended:
        assert [got.json["source"]["offset"] for got in topics.read(flow.sink, 1)] == [0]
        assert len(topics.read(flow.letters, 1)) == 1
    assert ended == []


WITHOUT = {
    "the source": (0, None, "--topic {source}"),
    "reading the source": (0, "Describe", "Read.* --topic {source}"),
    "the sink": (1, None, "--topic {sink}"),
    "writing to the sink": (1, "Describe", "Write.* --topic {sink}"),
    "the dead letters": (2, None, "--topic {letters}"),
    "the group": (3, None, "Read.* --group {name}"),
    "the transactional id": (4, None, "Write.* --transactional-id me-{name}-"),
}


@pytest.mark.parametrize("missing", WITHOUT)
def test_without_one_of_the_rights_the_daemon_ends_and_names_it(
    broker, topics, models, tmp_path, missing
):
    flow = Flow(topics, tmp_path, models)
    at, instead, told = WITHOUT[missing]
    lacking = flow.rights[at]
    broker.grant(*(right for right in flow.rights if right is not lacking))
    if instead:
        broker.grant(Right(lacking.kind, lacking.name, instead))
    topics.send(flow.source, [Sent(b"good"), Sent(b"\xff")])
    began = time.monotonic()
    with flow.running(broker.settings("scram")) as ended:
        eventually(lambda: ended, "the daemon ends")
    [error] = ended
    said = str(error)
    assert re.search(rf"kafka-acls\.sh.*{told.format(**vars(flow))}", said), said
    assert PASSWORD not in said
    assert time.monotonic() - began < 20, "soon"


def test_the_documented_commands_are_the_rights_that_were_enough(topics, models, tmp_path):
    flow = Flow(topics, tmp_path, models)
    page = DOCS.read_text(encoding="utf-8")
    named = {
        flow.source: "street.photos",
        flow.sink: "street.predictions",
        flow.letters: "street.deadletters",
        f"me-{flow.name}": "street-",
        flow.name: "street",
    }
    for right in flow.rights:
        command = right.command
        for mine, theirs in named.items():
            command = command.replace(mine, theirs)
        assert command in page, command


@pytest.mark.parametrize(
    ("how", "changed", "told"),
    [
        ("scram", {"sasl_plain_password": "wrong"}, "refuses this identity: .*sasl_plain_password"),
        ("plain", {"sasl_plain_password": "wrong"}, "refuses this identity: .*sasl_plain_password"),
        ("scram", {"sasl_mechanism": "SCRAM-SHA-256"}, "does not take SCRAM-SHA-256; it offers"),
        ("scram", {"ssl_cafile": None}, r"not trusted: .*ssl_cafile is not set"),
        ("mtls", {"ssl_certfile": None, "ssl_keyfile": None}, "kafka.ssl_certfile"),
        ("scram", {"security_protocol": "SASL_PLAINTEXT"}, "ask for TLS"),
        ("scram", {"security_protocol": "SSL", "sasl_mechanism": None}, "ask for SASL"),
        ("oauth", {"oauth_client_secret": "wrong"}, "no OAuth token .* invalid_client"),
    ],
)
def test_a_wrong_setting_is_named_at_once(broker, how, changed, told):
    began = time.monotonic()
    with pytest.raises(BrokerError, match=told) as raised:
        wait_for_brokers(broker.settings(how, **changed), give_up_after=0.1)
    assert time.monotonic() - began < 5
    assert PASSWORD not in str(raised.value)
    assert SECRET not in str(raised.value)


def test_tls_asked_of_a_listener_without_it_is_named(broker):
    plain = broker.kafka.bootstrap_servers
    with pytest.raises(BrokerError, match=r"kafka\.security_protocol"):
        wait_for_brokers(broker.settings("mtls", bootstrap_servers=plain), give_up_after=0.1)


def test_an_authority_of_another_name_and_a_strangers_certificate_are_named(broker, tmp_path):
    stranger = Authority("a stranger")
    other = stranger.write(tmp_path / "other.crt")
    with pytest.raises(BrokerError, match="ssl_cafile names another authority"):
        unreachable_reason(broker.settings("scram", ssl_cafile=other))
    certificate, key = stranger.issue(tmp_path, USER)
    with pytest.raises(BrokerError, match=r"refuses the certificate of kafka\.ssl_certfile"):
        unreachable_reason(broker.settings("mtls", ssl_certfile=certificate, ssl_keyfile=key))


def test_a_key_that_does_not_fit_or_lacks_its_password_is_named(broker, tmp_path):
    certificate, key = broker.authority.issue(tmp_path, USER, password=LOCK)
    for changed in (
        {"ssl_certfile": broker.certificate, "ssl_keyfile": key, "ssl_password": LOCK},
        {"ssl_certfile": certificate, "ssl_keyfile": key},
    ):
        with pytest.raises(BrokerError, match="ssl_password: they don't fit each other"):
            unreachable_reason(broker.settings("mtls", **changed))
    opened = broker.settings("mtls", ssl_certfile=certificate, ssl_keyfile=key, ssl_password=LOCK)
    assert unreachable_reason(opened) is None


def test_a_token_of_another_issuer_is_named(broker, tmp_path):
    file = tmp_path / "token"
    file.write_text(broker.tokens.token(USER, issuer="https://elsewhere"), encoding="ascii")
    kafka = broker.settings(
        "oauth",
        oauth_token_url=None,
        oauth_client_id=None,
        oauth_client_secret=None,
        oauth_token_file=file,
    )
    with pytest.raises(BrokerError, match=r"refuses this identity.*issuer"):
        unreachable_reason(kafka)
    file.write_text(broker.tokens.token(USER), encoding="ascii")
    assert unreachable_reason(kafka) is None


def test_a_renewed_certificate_serves_the_next_connection(broker, topics, tmp_path):
    topic = topics.make()
    broker.grant(Right("TOPIC", topic, "Read"))
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    stale = Authority("an authority that is over").issue(tmp_path, USER)
    shutil.copy(stale[0], certificate)
    shutil.copy(stale[1], key)
    kafka = broker.settings("mtls", ssl_certfile=certificate, ssl_keyfile=key)
    with pytest.raises(BrokerError, match="refuses the certificate"):
        unreachable_reason(kafka)
    shutil.copy(broker.certificate, certificate)
    shutil.copy(broker.key, key)
    with Reader(kafka) as reader:  # the same settings, and what the files hold by now
        assert len(reader.partitions(topic)) == 1


def test_a_certificate_is_renewed_under_a_running_daemon(broker, topics, models, tmp_path):
    flow = Flow(topics, tmp_path, models)
    broker.grant(*flow.rights)
    (tmp_path / "renewed").mkdir()
    renewed = broker.authority.issue(tmp_path / "renewed", "renewed")
    broker.grant(*flow.rights, user="renewed")
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    shutil.copy(broker.certificate, certificate)
    shutil.copy(broker.key, key)
    kafka = broker.settings("mtls", ssl_certfile=certificate, ssl_keyfile=key)
    with flow.running(kafka) as ended:
        topics.send(flow.source, [Sent(b"good")])
        assert len(topics.read(flow.sink, 1)) == 1
        shutil.copy(renewed[0], certificate)
        shutil.copy(renewed[1], key)
        broker.restart()
        topics.reconnect(broker.admin)
        broker.revoke_all()  # whoever still shows the old certificate may do nothing any more
        topics.send(flow.source, [Sent(b"good")])
        assert len(topics.read(flow.sink, 2)) == 2
    broker.revoke_all("renewed")
    assert ended == []


def test_connections_outlive_their_tokens(broker, topics, models, tmp_path):
    broker.tokens.life_s = 4
    flow = Flow(topics, tmp_path, models)
    broker.grant(*flow.rights)
    given = broker.tokens.given
    kafka = broker.settings("oauth", oauth_scope="short")  # a provider of its own
    with flow.running(kafka) as ended:
        for number in range(3):
            topics.send(flow.source, [Sent(b"good")])
            assert len(topics.read(flow.sink, number + 1)) == number + 1
            eventually(
                lambda wanted=given + number + 2: broker.tokens.given >= wanted,
                "a token is asked for anew",
            )
    broker.tokens.life_s = 300
    assert ended == []


def saying(broker, folder, models, **more):
    """Give what runs a command as the daemon's user: its exit code, and all it wrote."""
    kafka = broker.settings("scram")
    (folder / "password").write_text(PASSWORD, encoding="ascii")
    environment = {
        "STREAMER_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "STREAMER_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
        "STREAMER_KAFKA__SASL_MECHANISM": "SCRAM-SHA-512",
        "STREAMER_KAFKA__SASL_PLAIN_USERNAME": USER,
        "STREAMER_KAFKA__SASL_PLAIN_PASSWORD_FILE": str(folder / "password"),
        "STREAMER_KAFKA__SSL_CAFILE": str(broker.cafile),
        "STREAMER_MODELS__DIR": str(models),
        **more,
    }

    def said(*arguments):
        code, text = command(*arguments, environment=environment, folder=folder)
        assert PASSWORD not in text
        return code, text

    return said


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
def test_versions_are_followed_and_promoted_with_the_documented_rights(broker, topics, tmp_path):
    for number in ("1", "2"):
        version(tmp_path / "models", "mood", number)
    deployments, events = topics.make(1), topics.make(1)
    names = DeploymentSettings(topic=deployments, events_topic=events, decide=False)
    flow = Flow(topics, tmp_path, tmp_path / "models", "at-least-once", "registry:mood")
    broker.grant(
        *flow.rights,
        Right("TOPIC", deployments, "Read"),
        Right("TOPIC", events, "Read"),
        Right("TOPIC", events, "Write"),
    )
    said = saying(
        broker,
        tmp_path,
        tmp_path / "models",
        STREAMER_DEPLOYMENTS__TOPIC=deployments,
        STREAMER_DEPLOYMENTS__EVENTS_TOPIC=events,
    )
    with flow.running(broker.settings("scram"), deployments=names) as ended:
        topics.send(flow.source, [Sent(b"good")])
        assert versions(topics.read(flow.sink, 1)) == ["2"]
        code, text = said("models", "promote", "mood", "1")
        assert code == 1
        assert "kafka-acls.sh" in text, "what is missing, by its name"
        broker.grant(
            Right("TOPIC", deployments, "Write"),
            Right("TRANSACTIONAL_ID", f"{deployments}-writer", "Write"),
        )
        code, text = said("models", "promote", "mood", "1", "--wait")
        assert code == 0, text
        topics.send(flow.source, [Sent(b"good")])
        assert versions(topics.read(flow.sink, 2)) == ["2", "1"]
    assert ended == []


def versions(answers):
    return [one.json["predictions"]["predict"]["version"] for one in answers]


@pytest.mark.long
def test_a_sidecar_works_with_the_documented_rights(broker, topics, tmp_path):
    learning.model(tmp_path / "models", "mood")
    deployments, events, labels = (topics.make(1) for _ in range(3))
    flow = Flow(topics, tmp_path, tmp_path / "models", model="registry:mood")
    file = tmp_path / "retrain.yaml"
    content = {
        "model": "registry:mood",
        "topology": flow.file.name,
        "labels": {"topic": labels, "delay": "0s"},
        "set": str(tmp_path / "set"),
        "strategy": {"kind": "head"},
    }
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    said = saying(
        broker,
        tmp_path,
        tmp_path / "models",
        STREAMER_DEPLOYMENTS__TOPIC=deployments,
        STREAMER_DEPLOYMENTS__EVENTS_TOPIC=events,
        STREAMER_DEPLOYMENTS__DECIDE="false",
        STREAMER_HTTP__ENABLED="false",
    )
    broker.grant(
        Right("TOPIC", deployments, "Read"),
        Right("TOPIC", events, "Read"),
        Right("TOPIC", events, "Write"),
        Right("TOPIC", flow.source, "Read"),
        Right("TOPIC", flow.sink, "Read"),
        Right("GROUP", "streamer-retrain-mood", "Read"),
    )
    code, text = said("retrain", str(file), "--once")
    assert (code, f"--topic {labels}" in text) == (1, True), text
    broker.grant(Right("TOPIC", labels, "Read"))
    code, text = said("retrain", str(file), "--once")
    assert code == 0, text

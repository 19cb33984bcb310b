"""Kafka over TLS with passwords, certificates and tokens, and with no more rights than needed."""

import shutil
import time

import pytest
from support.pki import Authority
from support.secured import LOCK, PASSWORD, SECRET, USER, Right
from support.secured_flow import Flow
from support.topics import Sent
from support.waiting import eventually

from streamer.broker import Reader, wait_for_brokers
from streamer.broker.connection import unreachable_reason
from streamer.errors import BrokerError


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

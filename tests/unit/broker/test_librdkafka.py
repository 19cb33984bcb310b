"""What librdkafka's half of the room does without a broker."""

import sys
from threading import Event

import pytest
from confluent_kafka import KafkaError
from confluent_kafka import Producer as Client
from kafka import errors
from kafka.structs import ConsumerGroupMetadata

from streamer.broker import check_client, group_metadata, open_member, open_writer
from streamer.broker.librdkafka.faults import fault, producer_fault
from streamer.broker.librdkafka.limits import ended
from streamer.broker.librdkafka.membership import packed, unpacked
from streamer.broker.librdkafka.producer import Flight, Pending, transactional
from streamer.broker.librdkafka.settings import client_settings, renamed
from streamer.config.settings import KafkaSettings
from streamer.errors import BrokerError, ConfigError, RecordError
from streamer.records import OutRecord, TopicPartition

NOWHERE = KafkaSettings(client="librdkafka", bootstrap_servers="127.0.0.1:1")
OUT = OutRecord("out", b"k", b"v", (), 1, TopicPartition("in", 0))


def member(**client):
    return open_member(NOWHERE, "g", ["in"], None, client, max_poll_records=10, revoke_timeout=1.0)


def test_without_its_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    for name in [name for name in sys.modules if name.startswith("streamer.broker.librdkafka")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("streamer.broker.librdkafka")
    with pytest.raises(ConfigError, match=r"pip install 'streamer\[librdkafka\]'"):
        check_client(NOWHERE)
    check_client(KafkaSettings())


@pytest.mark.parametrize("instance", [None, "", "pod-0"])
@pytest.mark.parametrize("member_id", ["", "streamer-1-abc"])
def test_a_membership_is_packed_as_librdkafka_packs_it(instance, member_id):
    membership = ConsumerGroupMetadata("group", 2**20 + 1, member_id, instance)
    assert unpacked(packed(membership)) == membership
    assert unpacked(packed(group_metadata("group"))).generation_id == -1


def test_the_membership_of_a_client_that_has_not_joined_is_nobodys():
    one = member()
    try:
        raw = one._client.consumer_group_metadata()
        assert packed(unpacked(raw)) == raw
        assert one.group_metadata() == group_metadata("g")
        assert not one.joined
        assert not one.member_id
    finally:
        one.close()


def test_a_membership_packed_otherwise_is_refused():
    with pytest.raises(ValueError, match="CGMDv3"):
        unpacked(b"CGMDv3:whatever")


def test_settings_of_a_topology_keep_their_names():
    given = {"linger_ms": 20, "compression_type": "zstd", "fetch_max_wait_ms": 5}
    assert renamed(given) == {
        "linger.ms": 20,
        "compression.type": "zstd",
        "fetch.wait.max.ms": 5,
    }
    open_writer(NOWHERE, {"linger_ms": 20, "compression_type": "zstd"}).close(timeout=0)


def test_a_setting_that_librdkafka_does_not_know_is_named():
    with pytest.raises(ConfigError, match=r"sink\.kafka\.selector: librdkafka does not take it"):
        open_writer(NOWHERE, {"selector": "x"})
    with pytest.raises(ConfigError, match=r"source\.kafka\.sock_chunk_bytes"):
        member(sock_chunk_bytes=1)


@pytest.mark.parametrize("seconds", [1.5, 5.0, 60.0])
def test_nothing_takes_longer_than_its_transaction(seconds):
    kafka = NOWHERE.model_copy(update={"transaction_timeout": seconds, "request_timeout": 30.0})
    told = transactional(kafka, "id")
    assert told["socket.timeout.ms"] + 100 <= told["transaction.timeout.ms"] == seconds * 1000
    Client(client_settings(kafka) | told)  # it refuses what does not fit together


def test_proof_and_encryption_are_told_in_its_words(tmp_path):
    authority = tmp_path / "ca.pem"
    authority.write_text("")
    kafka = KafkaSettings(
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_plain_username="me",
        sasl_plain_password="secret",  # noqa: S106 - of a test
        ssl_cafile=authority,
        ssl_check_hostname=False,
    )
    told = client_settings(kafka)
    assert told["sasl.mechanism"] == "SCRAM-SHA-512"
    assert (told["sasl.username"], told["sasl.password"]) == ("me", "secret")
    assert told["ssl.ca.location"] == str(authority)
    assert told["ssl.endpoint.identification.algorithm"] == "none"


def test_tokens_come_from_the_file_that_somebody_renews(tmp_path):
    token = tmp_path / "token"
    token.write_text("first")
    kafka = KafkaSettings(
        security_protocol="SASL_PLAINTEXT", sasl_mechanism="OAUTHBEARER", oauth_token_file=token
    )
    ask = client_settings(kafka)["oauth_cb"]
    assert ask("")[0] == "first"
    token.write_text("second")
    assert ask("")[0] == "second"


@pytest.mark.parametrize(
    ("code", "retriable", "told"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, False, "READ where it is read"),
        (KafkaError.FENCED_INSTANCE_ID, False, "group_instance_id"),
        (KafkaError.NOT_LEADER_FOR_PARTITION, True, "out"),
        (KafkaError._TRANSPORT, True, "TRANSPORT"),
        (KafkaError._AUTHENTICATION, False, "AUTHENTICATION"),
    ],
)
def test_errors_say_what_to_do_and_whether_it_helps_to_wait(code, retriable, told):
    found = fault(KafkaError(code), "reading out")
    assert found.retriable is retriable
    assert told in str(found)


@pytest.mark.parametrize(
    "code",
    [
        KafkaError._FENCED,
        KafkaError._TIMED_OUT,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
    ],
)
def test_what_a_new_producer_gets_over_is_tried_again(code):
    assert producer_fault(KafkaError(code), "committing a transaction").retriable


def test_a_record_is_written_only_once_its_flush_has_ended():
    flight = Flight()
    pending = Pending(OUT, 0, flight)
    assert isinstance(pending.failure, BrokerError)
    assert pending.failure.retriable
    flight.settled = True
    assert pending.failure is None
    pending.failed(KafkaError(KafkaError._MSG_TIMED_OUT), None)
    assert isinstance(pending.failure, BrokerError)


def test_records_that_a_partition_refuses_share_a_cause_until_one_is_alone():
    flight = Flight()
    sent = [Pending(OUT, partition, flight) for partition in (0, 0, 1)]
    for pending in sent:
        pending.failed(KafkaError(KafkaError.INVALID_TIMESTAMP), None)
    causes = [pending.failure.__cause__ for pending in sent]
    assert causes[0] is causes[1] is not causes[2]
    assert {pending.failure.reason for pending in sent} == {"refused-by-broker"}


def test_what_the_client_refuses_is_the_records_own_fault():
    pending = Pending(OUT, 0, Flight())
    pending.refused(UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"))
    assert isinstance(pending.failure, RecordError)
    assert pending.failure.reason == "refused-by-client"
    large = Pending(OUT, 0, Flight())
    large.failed(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), None)
    assert large.failure.reason == "too-large"
    assert issubclass(errors.for_code(KafkaError.MSG_SIZE_TOO_LARGE), errors.KafkaError)


def test_a_call_that_keeps_to_no_time_limit_is_left_to_itself():
    over = Event()
    assert not ended(over.wait, 0.05)
    over.set()
    assert ended(over.wait, 60)


def test_what_a_limited_call_raises_is_raised():
    with pytest.raises(ZeroDivisionError):
        ended(lambda: 1 // 0, 60)

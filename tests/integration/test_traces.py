"""The way of a record from its producer to its output, told to a collector."""

import pytest
from support import tiny
from support.otlp import Receiver
from support.topics import Sent
from support.waiting import eventually

INTERNAL, PRODUCER, CONSUMER = 1, 4, 5
MINE = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
OTHER = ("1bf7651916cd43dd8448eb211c80319d", "c7ad6b7169203332")


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


def parent(place, flags="01"):
    return ("traceparent", f"00-{place[0]}-{place[1]}-{flags}".encode())


def test_a_record_is_followed_from_its_producer_through_a_shared_batch_to_its_answer(
    topics, daemons, receiver
):
    tiny.text_model(daemons.folder / "models")
    source, sink = topics.make(), topics.make()
    letters = topics.make()
    name = f"traced-{sink[-8:]}"
    topology = {
        "name": name,
        "delivery": "exactly-once",
        "source": {"topics": [source], "format": "text"},
        "model": "mood",
        "sink": {"topic": sink},
        "deadletter": {"topic": letters},
    }
    topics.send(
        source,
        [
            Sent(b"good", headers=(parent(MINE), ("tracestate", b"a=1"), ("kept", b"yes"))),
            Sent(b"bad", headers=(parent(OTHER),)),
            Sent(b"unsampled", headers=(parent(("2" * 32, "3" * 16), "00"),)),
            Sent(b"\xff", headers=(parent(MINE),)),
            Sent(b"plain"),
        ],
    )
    settings = {"TRACES__ENABLED": "true", "TRACES__ENDPOINT": receiver.url, "TRACES__SAMPLE": "0"}
    with daemons.running(topology, **settings) as daemon:
        answers = {got.json["source"]["offset"]: got for got in topics.read(sink, 4)}
        [letter] = topics.read(letters, 1)
        told = eventually(lambda: daemon.said("dead letters"), "the dead letter is logged")
    # the daemon has ended: what it had to tell has been sent
    records = {
        s.attributes["messaging.kafka.offset"]: s for s in receiver.named(f"process {source}")
    }
    assert set(records) == {0, 1, 3}, "only what is sampled"
    first, second, broken = records[0], records[1], records[3]
    assert (first.trace, first.parent, first.kind) == (*MINE, CONSUMER)
    assert (second.trace, second.parent) == OTHER
    assert first.service == "streamer"
    assert first.attributes["messaging.system"] == "kafka"
    assert first.attributes["messaging.destination.partition.id"] == "0"
    assert first.attributes["messaging.consumer.group.name"] == name

    [batch] = [b for b in receiver.named("infer mood") if first.place in b.links]
    assert batch.kind == INTERNAL
    assert batch.links == {first.place, second.place}, (
        "both shared it; the unsampled one is not told"
    )
    assert batch.attributes["messaging.batch.message_count"] == 4
    assert batch.attributes["streamer.version"] == "1"
    assert batch.place in first.links
    assert first.began <= batch.began <= batch.ended <= first.ended

    [sent] = [s for s in receiver.named(f"send {sink}") if s.trace == first.trace]
    assert (sent.kind, sent.parent) == (PRODUCER, first.span)
    headers = dict(answers[0].headers)
    assert headers["traceparent"].decode() == f"00-{sent.trace}-{sent.span}-01"
    assert headers["tracestate"] == b"a=1"
    assert headers["kept"] == b"yes"
    assert [key for key, _ in answers[0].headers].count("traceparent") == 1
    assert dict(answers[2].headers)["traceparent"] == parent(("2" * 32, "3" * 16), "00")[1]
    assert "traceparent" not in dict(answers[4].headers)

    assert broken.failed
    assert broken.attributes["error.type"] == "decode/invalid-utf8"
    assert dict(letter.headers)["traceparent"] == parent(MINE)[1], "as it came, byte for byte"
    assert (told[0]["trace_id"], told[0]["span_id"]) == broken.place


def test_a_log_line_names_the_producers_trace_where_nothing_is_traced(topics, daemons):
    tiny.text_model(daemons.folder / "models")
    source, sink, letters = (topics.make() for _ in range(3))
    topology = {
        "name": f"untraced-{sink[-8:]}",
        "source": {"topics": [source], "format": "text"},
        "model": "mood",
        "sink": {"topic": sink},
        "deadletter": {"topic": letters},
    }
    topics.send(source, [Sent(b"\xff", headers=(parent(MINE),))])
    with daemons.running(topology) as daemon:
        [told] = eventually(lambda: daemon.said("dead letters"), "the dead letter is logged")
    assert (told["trace_id"], told["span_id"]) == MINE

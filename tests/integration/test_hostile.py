"""Hostile input: each record a dead letter of its own, byte for byte; the rest answered."""

import json
import struct
import zlib

import pytest
from support import tiny
from support.topics import Sent

HEADERS = (("trace", b"\x00\xff"), ("nothing", None), ("trace", b"again"), ("empty", b""))


def chunk(name: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


def huge_png() -> bytes:
    """A PNG whose header tells 60,000 x 60,000 pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def pair(first: object, second: object = "fine") -> bytes:
    return json.dumps({"sentence1": first, "sentence2": second}).encode()


JPEG = tiny.picture("green", (200, 300))
BIG = b"good " * (2 * 2**20)
# What is sent, and the (reason, part of the message) that its dead letter tells.
IMAGES = {
    "truncated JPEG": (JPEG[: len(JPEG) // 2], "truncated-image", "JPEG of 300x200"),
    "60,000 x 60,000 PNG": (huge_png(), "too-many-pixels", "60000x60000"),
    "no picture": (b"%PDF-1.7 nothing to see", "not-an-image", "%PDF"),
    "text": (b"good", "not-an-image", "4 bytes"),
    "empty": (b"", "empty-value", "0 bytes"),
    "null": (None, "null-value", "null"),
}
TEXTS = {
    "10 MB": (BIG, "text-too-long", str(len(BIG))),
    "invalid UTF-8": (b"good \xff\xfe bad", "invalid-utf8", "0xff at 5"),
    "a picture": (JPEG, "invalid-utf8", "0xff at 0"),
    "empty": (b"", "empty-value", "0 bytes"),
    "null": (None, "null-value", "null"),
}
OBJECTS = {
    "deep": (b'{"sentence1": ' + b"[" * 5000 + b"]" * 5000 + b"}", "json-too-deep", "32"),
    "unclosed": (b'{"sentence1": "good"', "invalid-json", ""),
    "an array": (b'["good", "bad"]', "wrong-type", "object"),
    "a number": (pair(17), "wrong-type", "sentence1"),
    "an object": (pair("good", {"text": "bad"}), "wrong-type", "sentence2"),
    "one missing": (b'{"sentence1": "good"}', "missing-field", "sentence2"),
    "one null": (pair("good", None), "missing-field", "sentence2"),
    "one empty": (pair(""), "empty-value", "sentence1"),
    "half a surrogate": (b'{"sentence1": "\\ud800", "sentence2": "a"}', "", ""),
    "invalid UTF-8": (b'{"sentence1": "\xff", "sentence2": "a"}', "invalid-utf8", ""),
    "empty": (b"", "empty-value", "0 bytes"),
    "null": (None, "null-value", "null"),
}
KINDS = {
    "image": (IMAGES, tiny.picture("red")),
    "text": (TEXTS, b"fine good"),
    "json": (OBJECTS, pair("good")),
}


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_each_hostile_record_is_a_letter_and_the_rest_is_answered(delivery, topics, daemons):
    models = daemons.folder / "models"
    tiny.picture_model(models), tiny.text_model(models), tiny.pair_model(models)
    topologies, sent = [], {}
    big = {"max.message.bytes": str(16 * 2**20)}
    for form, model in (("image", "colours"), ("text", "mood"), ("json", "pairs")):
        table, good = KINDS[form]
        source, sink = topics.make(2, prefix=form, configs=big), topics.make(2, prefix="out")
        letters = topics.make(2, prefix="letters", configs=big)
        records = [Sent(good, b"first", HEADERS)]
        for name, (value, _, _) in table.items():
            records += [Sent(value, name.encode(), HEADERS), Sent(good, b"between", HEADERS)]
        records.append(Sent(None, None, HEADERS))  # neither key nor value: legal in Kafka
        records.append(Sent(good, b"last"))
        topics.send(source, records, partitions=1)
        sent[form] = (table, source, sink, letters, records)
        topologies.append(
            {
                "name": f"{form}-{sink[-8:]}",
                "delivery": delivery,
                "source": {"topics": [source], "format": form},
                "model": model,
                "sink": {"topic": sink},
                "deadletter": {"topic": letters},
            }
        )
    with daemons.running(*topologies) as daemon:
        for (table, source, sink, letters, records), topology in zip(
            sent.values(), topologies, strict=True
        ):
            answers = topics.read(sink, len(table) + 2, alive=daemon.alive)
            assert len(answers) == len(table) + 2
            assert all(answer.json["predictions"] for answer in answers)
            found = topics.read(letters, len(table) + 1, alive=daemon.alive)
            assert len(found) == len(table) + 1
            for letter in found:
                check(letter, records, table, topology["name"], source)


def check(letter, records, table, topology, source):
    offset = int(letter.error("offset"))
    given = records[offset]
    assert (letter.key, letter.value) == (given.key, given.value)
    assert letter.headers[: len(HEADERS)] == HEADERS
    assert all(name.startswith("streamer.error.") for name, _ in letter.headers[len(HEADERS) :])
    name = given.key.decode() if given.key else "null"
    _, reason, message = table[name]
    assert letter.error("stage") == "decode", name
    assert reason in letter.error("reason"), (name, letter.error("reason"))
    assert message in letter.error("message"), (name, letter.error("message"))
    assert letter.error("class").endswith("Error")
    assert letter.error("topology") == topology
    assert (letter.error("topic"), letter.error("partition")) == (source, "0")
    assert letter.error("timestamp") == str(letter.timestamp)
    assert letter.error("attempts") == "1"


@pytest.mark.parametrize("tombstone", ["pass", "drop"])
def test_null_values_pass_or_are_dropped(tombstone, topics, daemons):
    tiny.text_model(daemons.folder / "models")
    source, sink = topics.make(2), topics.make(2)
    topics.own(f"{sink}.deadletters")
    topology = {
        "name": f"nulls-{sink[-8:]}",
        "delivery": "exactly-once" if tombstone == "pass" else "at-least-once",
        "source": {"topics": [source], "format": "text", "tombstone": tombstone},
        "model": "mood",
        "sink": {"topic": sink},
    }
    records = [Sent(b"good", b"a"), Sent(None, b"a", HEADERS), Sent(None), Sent(b"bad", b"b")]
    topics.send(source, records, partitions=1)
    with daemons.running(topology) as daemon:
        answers = topics.read(sink, 4 if tombstone == "pass" else 2, alive=daemon.alive)
    passed = [(answer.key, answer.headers) for answer in answers if answer.value is None]
    mark = ("streamer.topology", topology["name"].encode())
    if tombstone == "pass":
        assert sorted(passed, key=repr) == sorted(
            [(b"a", (*HEADERS, mark)), (None, (mark,))], key=repr
        )
    else:
        assert (len(answers), passed) == (2, [])
    assert topics.read(f"{sink}.deadletters") == []
    assert topics.committed(topology["name"], source)[0] == topics.ends(source)[0]


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_what_the_broker_refuses_is_a_letter_and_one_too_large_goes_without_its_value(
    delivery, topics, daemons
):
    tiny.text_model(daemons.folder / "models")
    source = topics.make(1, configs={"message.timestamp.after.max.ms": str(2**63 - 1)})
    sink = topics.make(1, configs={"max.message.bytes": "1500"})
    letters = topics.make(1, configs={"max.message.bytes": "4000"})
    topology = {
        "name": f"refused-{sink[-8:]}",
        "delivery": delivery,
        "source": {"topics": [source], "format": "text"},
        "model": "mood",
        "sink": {"topic": sink},
        "deadletter": {"topic": letters},
    }
    heavy = (("heavy", b"x" * 2000),)  # carried to the prediction, which gets too large by it
    future = 4_000_000_000_000  # the source takes it; by default Kafka takes an hour's advance
    records = [
        Sent(b"good"),
        Sent(b"bad", b"heavy", heavy),
        Sent(b"\xff" * 5000, b"large"),
        Sent(b"fine"),
        Sent(b"awful", b"future", timestamp=future),
        Sent(b"good good"),
    ]
    topics.send(source, records)
    with daemons.running(topology) as daemon:
        answers = topics.read(sink, 3, alive=daemon.alive)
        found = {letter.key: letter for letter in topics.read(letters, 3, alive=daemon.alive)}
    assert [answer.source[2] for answer in answers] == [0, 3, 5]
    assert sorted(found) == [b"future", b"heavy", b"large"]
    assert (found[b"heavy"].value, found[b"heavy"].headers[:1]) == (b"bad", heavy)
    told = {key: (one.error("stage"), one.error("reason")) for key, one in found.items()}
    assert told[b"heavy"] == ("produce", "too-large")
    assert found[b"large"].value == b""
    assert told[b"large"] == ("decode", "invalid-utf8")
    assert found[b"large"].error("value-dropped") == "5000"
    assert found[b"large"].error("truncated")
    assert told[b"future"] == ("produce", "refused-by-broker")
    assert (found[b"future"].value, found[b"future"].error("timestamp")) == (b"awful", str(future))


class Spoilt(str):
    """A header's name that is no UTF-8: other clients send them, and brokers take them."""

    __slots__ = ()

    def encode(self, *_):
        return b"na\xffme"


@pytest.mark.parametrize(
    ("client", "carried"),
    [
        ("kafka-python", (("na\ufffdme", b"1"), ("good", b"2"))),  # as Java's client reads it
        ("librdkafka", ()),  # of such a record it gives none
    ],
)
def test_a_headers_name_that_is_no_utf8_keeps_nobody_from_reading(client, carried, topics, daemons):
    tiny.text_model(daemons.folder / "models")
    source, sink = topics.make(1), topics.make(1)
    topology = {
        "name": f"names-{sink[-8:]}",
        "delivery": "exactly-once",
        "source": {"topics": [source], "format": "text"},
        "model": "mood",
        "sink": {"topic": sink},
    }
    odd = Sent(b"good", b"odd", ((Spoilt("x"), b"1"), ("good", b"2")))
    topics.send(source, [Sent(b"bad", b"before"), odd, Sent(b"fine", b"behind")])
    with daemons.running(topology, KAFKA__CLIENT=client) as daemon:
        answers = topics.read(sink, 3, alive=daemon.alive)
    assert [answer.key for answer in answers] == [b"before", b"odd", b"behind"]
    mark = ("streamer.topology", topology["name"].encode())
    assert answers[1].headers == (*carried, mark)

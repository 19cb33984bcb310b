"""What one daemon does with ordinary records, in both delivery modes."""

import pytest
from support import tiny
from support.topics import Sent, expected_sources, in_order, sources

MODES = ["at-least-once", "exactly-once"]


@pytest.mark.parametrize("client", ["kafka-python", "librdkafka"])
@pytest.mark.parametrize("delivery", MODES)
def test_every_record_is_answered_once_in_order_and_carries_what_it_had(
    delivery, client, topics, daemons
):
    tiny.text_model(daemons.folder / "models")
    source, sink = topics.make(3, prefix="texts"), topics.make(2, prefix="moods")
    topology = {
        "name": f"moods-{sink[-8:]}",
        "delivery": delivery,
        "source": {"topics": [source], "format": "text"},
        "model": "mood",
        "task": "text-classification",
        "sink": {"topic": sink},
    }
    topics.own(f"{sink}.deadletters")
    texts = [b"good", b"bad bad", b"fine good fine", b"awful"]
    records = [
        Sent(
            texts[number % 4],
            key=f"key {number % 7}".encode() if number % 3 else None,
            headers=(("number", str(number).encode()), ("number", b"twice"), ("none", None)),
            timestamp=1_700_000_000_000 + number,
        )
        for number in range(600)
    ]
    topics.send(source, records)
    with daemons.running(topology, KAFKA__CLIENT=client) as daemon:
        answers = topics.read(sink, 600, alive=daemon.alive)
    assert sources(answers) == dict.fromkeys(expected_sources(source, topics.ends(source)), 1)
    assert in_order(answers)
    assert topics.committed(topology["name"], source) == topics.ends(source)
    for answer in answers:
        _, partition, offset = answer.source
        number = offset * 3 + partition
        given = records[number]
        assert answer.key == given.key
        assert answer.timestamp == given.timestamp == answer.json["source"]["timestamp"]
        assert answer.headers == (*given.headers, ("streamer.topology", topology["name"].encode()))
        if given.key is None:
            assert answer.partition == partition % 2
        (said,) = answer.json["predictions"].values()
        assert said["output"][0]["label"] == ("bad" if number % 2 else "good")
        assert (said["model"], said["version"]) == ("mood", "1")

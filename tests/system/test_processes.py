"""`streamer run --processes 2`: one command, two daemons in one group, looked at in one place."""

from pathlib import Path

from support import tiny
from support.topics import Sent, expected_sources, in_order, sources

COUNT = 2_000


def test_daemons_side_by_side_answer_each_record_once(topics, daemons):
    tiny.text_model(daemons.folder / "models")
    source, sink = topics.make(2), topics.make(2)
    topics.own(f"{sink}.deadletters")
    topology = {
        "name": f"both-{sink[-8:]}",
        "delivery": "exactly-once",
        "source": {"topics": [source], "format": "text"},
        "model": "mood",
        "sink": {"topic": sink},
    }
    topics.send(source, [Sent(b"good", b"k%d" % number) for number in range(COUNT)])
    daemon = daemons.start(topology, Path("--processes=2")).ready()
    answers = topics.read(sink, COUNT, alive=daemon.alive)
    assert sources(answers) == dict.fromkeys(expected_sources(source, topics.ends(source)), 1)
    assert in_order(answers)
    code, metrics = daemon.get("/metrics")
    assert code == 200
    for process in ("0", "1"):
        assert f'streamer_assigned_partitions{{process="{process}",topology=' in metrics
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.text

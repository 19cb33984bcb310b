"""`streamer send` and `streamer tail` as people use them, on a real broker."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image as Picture

from streamer.broker import Reader
from streamer.config.settings import KafkaSettings

STOP = {"label": "stop", "score": 0.93, "box": {"xmin": 20, "ymin": 30, "xmax": 60, "ymax": 70}}


@pytest.fixture
def streamer(broker, tmp_path):
    def call(*arguments: str, code: int = 0, stdin: bytes | None = None):
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "streamer", *arguments],
            input=stdin,
            capture_output=True,
            check=False,
            timeout=60,
            cwd=tmp_path,
            env={**os.environ, "STREAMER_KAFKA__BOOTSTRAP_SERVERS": broker},
        )
        assert done.returncode == code, done.stderr.decode()
        return done

    return call


def tailed(streamer, topic: str, limit: int, *options: str) -> list[dict]:
    done = streamer(
        *("tail", topic, "--json", "--from-beginning"),
        *("--limit", str(limit), "--timeout", "10s", *options),
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_lines_are_sent_with_keys_and_headers_and_read_again(streamer, topic, tmp_path):
    name = topic(3)
    (tmp_path / "words.txt").write_text("".join(f"line {n}\n" for n in range(50)))
    done = streamer("send", name, "words.txt", "--key", "k{number}", "--header", "lang=en")
    assert b"50 records" in done.stderr
    found = tailed(streamer, name, 50)
    assert {record["key"]: record["value"] for record in found} == {
        f"k{n}": f"line {n}" for n in range(50)
    }
    assert {record["partition"] for record in found} == {0, 1, 2}
    assert found[0]["headers"] == [["lang", "en"], ["content-type", "text/plain; charset=utf-8"]]
    assert found[0]["timestamp"] > 1_600_000_000_000


def test_records_without_key_are_spread(streamer, topic):
    name = topic(3)
    streamer("send", name, "-", stdin=b"a\nb\nc\n")
    assert {record["partition"] for record in tailed(streamer, name, 3)} == {0, 1, 2}


def test_a_rate_is_kept(streamer, topic, tmp_path):
    name = topic()
    (tmp_path / "words.txt").write_text("a\nb\n")
    streamer("send", name, "words.txt", "--rate", "10", "--repeat", "5")
    times = [record["timestamp"] for record in tailed(streamer, name, 10)]
    assert times[-1] - times[0] >= 850


def test_a_topic_that_is_not_there_is_an_error_unless_it_is_to_be_made(streamer, topic, tmp_path):
    (tmp_path / "words.txt").write_text("a\n")
    name = topic() + "x"
    done = streamer("send", name, "words.txt", code=1)
    assert b"Traceback" not in done.stderr
    assert name.encode() in done.stderr
    streamer("send", name, "words.txt", "--create")
    assert len(tailed(streamer, name, 1)) == 1
    assert b"does not exist" in streamer("tail", name + "y", code=1).stderr


def test_what_kafka_refuses_is_counted_and_ends_with_1(streamer, topic, tmp_path):
    name = topic(configs={"max.message.bytes": "1000"})
    (tmp_path / "some.txt").write_text("small\n" + os.urandom(3000).hex() + "\nsmall too\n")
    done = streamer("send", name, "some.txt", code=1)
    assert b"2 records" in done.stderr
    assert b"1 not acknowledged" in done.stderr
    assert [record["value"] for record in tailed(streamer, name, 2)] == ["small", "small too"]


def test_an_unreachable_broker_is_a_readable_error(tmp_path):
    (tmp_path / "words.txt").write_text("a\n")
    done = subprocess.run(
        [sys.executable, "-m", "streamer", "tail", "some-topic"],
        capture_output=True,
        check=False,
        timeout=60,
        cwd=tmp_path,
        env={**os.environ, "STREAMER_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"},
    )
    assert done.returncode == 1
    assert b"streamer: Kafka is not reachable" in done.stderr
    assert b"Traceback" not in done.stderr


def test_boxes_are_drawn_into_the_picture_that_was_answered(broker, streamer, topic, tmp_path):
    photos, predictions = topic(), topic()
    for number in range(3):
        pixels = np.full((100, 120, 3), 50 * number, np.uint8)
        Picture.fromarray(pixels).save(tmp_path / f"{number}.png")
    streamer("send", photos, "0.png", "1.png", "2.png")
    with Reader(KafkaSettings(bootstrap_servers=broker)) as reader:
        reader.assign(reader.partitions(photos))
        sources = [record for _ in range(20) for record in reader.poll(0.2)]
    assert len(sources) == 3
    answers = [
        {
            "source": {
                "topic": photos,
                "partition": 0,
                "offset": record.offset,
                "timestamp": record.timestamp - (record.offset == 1),
            },
            "topology": "street",
            "predictions": {"detect": {"task": "object-detection", "output": [STOP]}},
        }
        for record in sources
    ]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(a) + "\n" for a in answers))
    streamer("send", predictions, "answers.jsonl")
    done = streamer(
        *("tail", predictions, "--from-beginning", "--limit", "3", "--timeout", "10s"),
        *("--draw", "boxes"),
    )
    assert f"{photos} 0/0 detect: stop 0.93 [20,30 60,70]".encode() in done.stdout
    # Of the second one the timestamp differs: it is another record than the one answered.
    assert f"{photos} 0/1: is not there any more".encode() in done.stderr
    drawn = {file.name for file in (tmp_path / "boxes").iterdir()}
    assert drawn == {f"{photos}-0-0.jpg", f"{photos}-0-2.jpg"}
    with Picture.open(tmp_path / "boxes" / f"{photos}-0-2.jpg") as last:
        assert last.size == (120, 100)
        red, green, blue = last.getpixel((20, 50))
        assert max(red, green, blue) - min(red, green, blue) > 40
        assert all(abs(value - 100) < 12 for value in last.getpixel((100, 90)))


def test_tail_shows_only_what_comes_and_ends_cleanly_when_interrupted(broker, streamer, topic):
    name = topic()
    streamer("send", name, "-", stdin=b"old\n")
    tail = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "streamer", "tail", name],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "STREAMER_KAFKA__BOOTSTRAP_SERVERS": broker, "PYTHONUNBUFFERED": "1"},
    )
    try:
        line = b""
        for _ in range(30):
            streamer("send", name, "-", stdin=b"new\n")
            os.set_blocking(tail.stdout.fileno(), False)
            line = tail.stdout.readline() or b""
            if line:
                break
        assert line.rstrip().endswith(b"new")
        tail.send_signal(2)
        assert tail.wait(60) == 0
        assert tail.stderr.read() == b""
    finally:
        tail.kill()
        tail.wait()
        tail.stdout.close()
        tail.stderr.close()

import numpy as np
import pytest
from support import tiny

from streamer.config import Settings
from streamer.errors import BrokenModelError, BrokerError, ConfigError, StreamerError
from streamer.records import TopicPartition
from streamer.testing import FakeKafka, FakeModelError, NotAnsweredError, TopologyTest

DELIVERIES = ["at-least-once", "exactly-once"]
TOPOLOGY = """
name: moods
delivery: {delivery}
source: {{topics: [messages], format: text, tombstone: {tombstone}}}
models: {{mood: {{uri: models/mood}}}}
steps: {{mood: {{model: mood, task: text-classification}}}}
sink: {{topic: moods, partition: source}}
deadletter: {{topic: letters, max_consecutive: 20}}
"""


def good(feeds):
    return {"logits": np.tile(np.array([[4.0, 0.0]], np.float32), (len(feeds["input_ids"]), 1))}


@pytest.fixture
def file(tmp_path):
    tiny.text_model(tmp_path / "models")

    def written(delivery="at-least-once", tombstone="deadletter"):
        path = tmp_path / "moods.yaml"
        path.write_text(TOPOLOGY.format(delivery=delivery, tombstone=tombstone), encoding="utf-8")
        return path

    return written


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_a_record_is_answered_and_its_position_committed(file, delivery):
    with TopologyTest(file(delivery), sessions={"mood": good}) as test:
        test.send("messages", "bad bad", key=b"c1", headers=(("h", b"1"), ("n", None)))
        [prediction] = test.predictions()
        assert prediction.output()[0]["label"] == "good"
        assert prediction.output("mood") == prediction.output()
        assert (prediction.source, prediction.offset) == (TopicPartition("messages", 0), 0)
        assert prediction.key == b"c1"
        assert prediction.headers[:2] == (("h", b"1"), ("n", None))
        assert test.deadletters() == []
        assert test.positions() == {TopicPartition("messages", 0): 1}


def test_a_model_that_is_not_replaced_runs(file):
    with TopologyTest(file()) as test:
        test.send("messages", "awful bad")
        [prediction] = test.predictions()
    assert prediction.output()[0]["label"] == "bad"


def test_one_bad_record_harms_only_itself(file):
    def picky(feeds):
        if (feeds["input_ids"] == tiny.WORDS.index("awful")).any():
            raise ValueError("awful")
        return good(feeds)

    with TopologyTest(file("exactly-once"), sessions={"mood": picky}) as test:
        for value in (b"good", b"fine", b"awful", b"\xff", None, b"good"):
            test.send("messages", value)
        assert [prediction.offset for prediction in test.predictions()] == [0, 1, 5]
        letters = test.deadletters()
    found = {letter.offset: (letter.stage, letter.reason) for letter in letters}
    assert found == {
        2: ("infer", "infer-failed"),
        3: ("decode", "invalid-utf8"),
        4: ("decode", "null-value"),
    }
    assert letters[0].value == b"awful"
    assert (letters[0].step, letters[0].error, letters[0].message) == (
        "mood",
        "ValueError",
        "awful",
    )
    assert letters[0].attempts > 1


def test_what_is_sent_before_an_answer_is_asked_for_shares_a_batch(file):
    sizes = []

    def counted(feeds):
        sizes.append(len(feeds["input_ids"]))
        return good(feeds)

    with TopologyTest(file(), sessions={"mood": counted}, partitions=2) as test:
        for number in range(20):
            test.send("messages", "good", partition=number % 2)
        assert len(test.predictions()) == 20
        test.send("messages", "good")
        assert len(test.predictions()) == 21
    assert sizes == [20, 1]


def test_a_tombstone_is_passed_on(file):
    with TopologyTest(file(tombstone="pass"), sessions={"mood": good}) as test:
        test.send("messages", None, key=b"gone")
        [prediction] = test.predictions()
    assert (prediction.key, prediction.content) == (b"gone", None)


def test_what_was_sent_last_is_answered_before_the_end(file):
    test = TopologyTest(file(), sessions={"mood": good})
    with test:
        test.send("messages", "good")
    assert len(test.kafka.records("moods")) == 1


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize(
    ("call", "fault"),
    [
        ("append", "lost"),
        ("flush", "fails"),
        ("flush", "done"),
        ("commit", "done"),
        ("poll", "fails"),
    ],
)
def test_a_failing_kafka_is_got_over(file, delivery, call, fault):
    with TopologyTest(file(delivery), sessions={"mood": good}) as test:
        test.kafka.fail(call, fault)
        for _ in range(3):
            test.send("messages", "good")
        offsets = [prediction.offset for prediction in test.predictions()]
    assert list(dict.fromkeys(offsets)) == [0, 1, 2]
    if delivery == "exactly-once":
        assert len(offsets) == 3


def test_a_later_run_goes_on_where_an_earlier_one_ended(file):
    kafka = FakeKafka()
    for _ in range(2):
        with TopologyTest(file("exactly-once"), sessions={"mood": good}, kafka=kafka) as test:
            test.send("messages", "good")
    assert [prediction.offset for prediction in test.predictions()] == [0, 1]


def test_what_a_topic_does_not_take_becomes_a_dead_letter(file):
    kafka = FakeKafka()
    kafka.create("moods", max_message_bytes=20)
    with TopologyTest(file(), sessions={"mood": good}, kafka=kafka) as test:
        test.send("messages", "good")
        [letter] = test.deadletters()
    assert (letter.stage, letter.reason) == ("produce", "too-large")


# errors that are readable


def test_a_broken_model_ends_the_test_with_its_error(file):
    def broken(_feeds):
        raise ValueError("no weights")

    with TopologyTest(file(), sessions={"mood": broken}) as test:
        for _ in range(30):
            test.send("messages", "good")
        with pytest.raises(BrokenModelError, match=r"20 records in a row.*no weights"):
            test.predictions()


def test_a_kafka_that_refuses_for_good_ends_the_test_with_its_error(file):
    with TopologyTest(file(), sessions={"mood": good}) as test:
        test.kafka.fail("flush", "fatal")
        test.kafka.fail("append", "fatal")
        test.send("messages", "good")
        with pytest.raises(BrokerError, match="a fault of the test"):
            test.predictions()


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (lambda feeds: {"scores": feeds["input_ids"]}, "'mood' gives .'scores'.; .* .'logits'."),
        (lambda feeds: {"logits": np.zeros((7, 2))}, "7 rows of 'logits' for a batch of 1"),
        (lambda feeds: None, "gives NoneType"),
    ],
)
def test_a_function_that_is_no_model_is_told_so(file, model, told):
    with TopologyTest(file(), sessions={"mood": model}) as test:
        test.send("messages", "good")
        with pytest.raises(FakeModelError, match=told):
            test.predictions()


def test_a_slip_in_the_test_is_named(file):
    with pytest.raises(ConfigError, match=r"no model .'moods'.; its models are .'mood'."):
        TopologyTest(file(), sessions={"moods": good})
    with TopologyTest(file(), sessions={"mood": good}) as test:
        with pytest.raises(ConfigError, match=r"reads .'messages'., not 'message'"):
            test.send("message", "good")
        with pytest.raises(ConfigError, match="1 partitions; got 1"):
            test.send("messages", "good", partition=1)
        test.send("messages", "good")
        [prediction] = test.predictions()
        with pytest.raises(StreamerError, match=r"one of the steps .'mood'.; got 'predict'"):
            prediction.output("predict")


def test_a_topology_that_was_not_started_says_so(file):
    test = TopologyTest(file(), sessions={"mood": good})
    test.send("messages", "good")
    with pytest.raises(StreamerError, match="with TopologyTest"):
        test.predictions()


def test_what_is_not_answered_is_told_by_partition(file):
    with TopologyTest(file(), sessions={"mood": good}, patience=0.05) as test:
        test.kafka.fail("poll", *["fails"] * 10)
        test.send("messages", "good")
        with pytest.raises(NotAnsweredError, match=r"messages/0: 1 records from offset 0 on"):
            test.predictions()


def test_an_error_of_the_test_itself_is_not_hidden(file):
    def run():
        with TopologyTest(file(), sessions={"mood": good}) as test:
            test.send("messages", "good")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()


# settings


def test_the_environment_does_not_decide(file, monkeypatch):
    monkeypatch.setenv("STREAMER_LINE__MEMORY", "nonsense")
    with TopologyTest(file(), sessions={"mood": good}) as test:
        test.send("messages", "good")
        assert len(test.predictions()) == 1


def test_settings_can_be_given(file, tmp_path):
    settings = Settings(models={"dir": tmp_path}, line={"decode_threads": 2})
    with TopologyTest(file(), sessions={"mood": good}, settings=settings) as test:
        test.send("messages", "good")
        assert len(test.predictions()) == 1


def test_json_is_written_for_the_test(tmp_path):
    tiny.pair_model(tmp_path / "models")
    path = tmp_path / "pairs.yaml"
    path.write_text(
        "name: pairs\n"
        "source:\n"
        "  topics: [pairs]\n"
        "  format: json\n"
        "  fields: {sentence1: a, sentence2: b}\n"
        "model: models/pairs\n"
        "task: sentence-similarity\n"
        "sink: {topic: scores}\n",
        encoding="utf-8",
    )
    with TopologyTest(path) as test:
        test.send("pairs", {"a": "good bad", "b": "good bad"})
        [prediction] = test.predictions()
    assert prediction.output()["score"] == pytest.approx(1, abs=1e-3)

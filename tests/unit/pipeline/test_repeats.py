"""Records with a value that came before: answered alike, without asking the model again."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from support import tiny, versions

from streamer.config import Settings, load_topology
from streamer.errors import ConfigError
from streamer.pipeline.repeats import Repeats, digest_of
from streamer.testing import TopologyTest

TEXTS = ["good fine", "bad", "good fine", "awful", "bad", "good fine"]


def topology(folder, model, **options):
    file = folder / "topology.yaml"
    content = {
        "name": "mood",
        "source": {"topics": ["in"], "format": "text"},
        "models": {"mood": {"uri": str(model), "sessions": 1, **options}},
        "steps": {"mood": {"model": "mood"}},
        "sink": {"topic": "out"},
    }
    file.write_text(yaml.safe_dump(content))
    return file


def answered(file, rounds=2):
    with TopologyTest(file) as test:
        for _ in range(rounds):
            for text in TEXTS:
                test.send("in", text)
            found = test.predictions()
        ran = test._line._events.counts.batch_items["mood"]
        metrics = generate_latest(test._line._events._metrics.registry).decode()
    return [one.content["predictions"] for one in found], ran, metrics


def test_answers_are_the_same_as_without_and_the_model_is_asked_less(tmp_path):
    model = tiny.text_model(tmp_path)
    plain, every, _ = answered(topology(tmp_path, model))
    kept, few, metrics = answered(topology(tmp_path, model, repeats="1MiB"))
    assert kept == plain
    assert (every, few) == (12, 6)  # the second round asks nothing
    assert 'streamer_records_recalled_total{topology="mood"} 6.0' in metrics


def test_an_answer_that_json_has_no_word_for_is_not_kept():
    kept = Repeats(10**6)
    kept.put("step", b"digest", [{"score": object()}])
    assert kept.get("step", b"digest") is None
    assert kept.taken_bytes == 0


def test_values_whose_headers_say_what_they_are_cannot_be_told_apart(tmp_path):
    file = topology(tmp_path, tiny.text_model(tmp_path), repeats="1MiB")
    file.write_text(file.read_text().replace("format: text", "format: cloudevents"))
    with pytest.raises(ConfigError, match="repeats: not beside cloudevents"):
        load_topology(file)


def test_an_answer_is_never_one_of_another_version(tmp_path):
    versions.version(tmp_path, "mood", "1")
    versions.version(tmp_path, "mood", "2", "wrong")
    file = topology(tmp_path, "registry:mood", repeats="1MiB")
    settings = Settings(instance="test", models={"dir": tmp_path})
    with TopologyTest(file, settings=settings, serving={"mood": "1"}) as test:
        labels = []
        for version in ("1", "2"):
            if version == "2":
                test.serve("mood", "2")
            test.send("in", "good fine")
            [*_, last] = test.predictions()
            told = last.content["predictions"]["mood"]
            assert told["version"] == version
            labels.append(told["output"][0]["label"])
        assert labels[0] != labels[1]


def test_what_was_not_asked_for_longest_makes_room():
    kept = Repeats(1000)
    for number in range(4):  # some 300 bytes each
        kept.put("step", digest_of(b"%d" % number), "x")
        assert kept.get("step", digest_of(b"0")) == ("x",)
    assert kept.taken_bytes <= 1000
    assert kept.get("step", digest_of(b"3")) == ("x",)
    assert kept.get("step", digest_of(b"1")) is None
    assert kept.get("other step", digest_of(b"0")) is None


def test_what_is_larger_than_all_room_is_not_kept():
    kept = Repeats(500)
    kept.put("step", b"d", "x" * 1000)
    assert len(kept) == 0


@given(st.lists(st.tuples(st.binary(max_size=3), st.text(max_size=40)), max_size=60))
def test_never_more_is_kept_than_allowed(pairs):
    kept = Repeats(2000)
    for value, output in pairs:
        kept.put("step", digest_of(value), output)
        assert kept.taken_bytes <= 2000


@pytest.mark.parametrize("value", [b"", b"x" * 10**6])
def test_a_digest_has_one_length(value):
    assert len(digest_of(value)) == 16

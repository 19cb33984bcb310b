import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from support.items import IN, topology
from support.registry import SchemaRegistry
from support.versions import version

from streamer.config import Settings
from streamer.errors import DecodeError
from streamer.pipeline.replay import Replay
from streamer.records import Record, Text

SCHEMA = '{"type": "record", "name": "M", "fields": [{"name": "text", "type": "string"}]}'
TEXTS = (b"good", b"bad awful", b"fine good good", b"", b"awful")


def records() -> list[Record]:
    return [Record(IN, 0, at, at, None, TEXTS[at % len(TEXTS)]) for at in range(100)]


@pytest.fixture
def replay(tmp_path):
    opened = []

    def open_with(number="1", registry=None, **changed):
        given = topology(model=f"models/mood/{number}", **changed)
        told = {"schema_registry": {"url": registry}} if registry else {}
        settings = Settings(models={"dir": tmp_path / "models"}, **told)
        opened.append(Replay(given, tmp_path / "topology.yaml", settings))
        return opened[-1]

    yield open_with
    for one in opened:
        one.close()


def best(items) -> list[str | None]:
    return [
        None if item.rejection else item.answers["text-classification"].output[0]["label"]
        for item in items
    ]


def test_records_are_answered_in_order_and_bad_ones_say_why(replay, tmp_path):
    version(tmp_path / "models", "mood", "1")
    opened = replay()
    items = list(opened.answered(records()))
    assert [item.record.offset for item in items] == list(range(100))
    assert best(items)[:5] == ["good", "bad", "good", None, "bad"]
    assert items[3].rejection.reason == "empty-value"
    assert opened.one_by_one is False
    assert opened.versions == {"text-classification": "mood 1"}
    assert opened.sample(records()[0]) == Text("good")
    with pytest.raises(DecodeError):
        opened.sample(records()[3])


def test_values_with_a_schema_are_read_by_it(replay, tmp_path):
    version(tmp_path / "models", "mood", "1")
    registry = SchemaRegistry()
    number = registry.add(SCHEMA)
    opened = replay(registry=registry.url, source={"topics": [IN], "format": "avro"})
    head = b"\0" + number.to_bytes(4, "big")
    values = (head + b"\x08good", head + b"\x06bad", b"bare")
    given = [Record(IN, 0, at, at, None, value) for at, value in enumerate(values)]
    items = list(opened.answered(given))
    registry.close()
    assert best(items) == ["good", "bad", None]
    assert items[2].rejection.reason == "no-schema-id"
    assert opened.sample(given[0]) == Text("good")


def test_where_neighbours_change_an_answer_each_record_goes_alone(replay, tmp_path):
    folder = version(tmp_path / "models", "mood", "1")
    graph = onnx.load(folder / "model.onnx")
    graph.graph.node[-1].output[0] = "own"
    graph.graph.node.append(helper.make_node("ReduceMax", ["own"], ["most"], axes=[0]))
    graph.graph.node.append(helper.make_node("Mul", ["most", "little"], ["share"]))
    graph.graph.node.append(helper.make_node("Add", ["own", "share"], ["logits"]))
    little = numpy_helper.from_array(np.array([0.1, 0.2], np.float32), "little")
    graph.graph.initializer.append(little)
    onnx.save(graph, folder / "model.onnx")
    opened = replay()
    together = list(opened.answered(records()))
    assert opened.one_by_one is True
    alone = [item for one in records() for item in opened.answered([one])]
    assert [item.answers for item in together] == [item.answers for item in alone]

import subprocess
import sys

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from streamer.config.settings import TraceSettings
from streamer.errors import ConfigError
from streamer.records import Item, OutRecord, Record, Slice, TopicPartition, Wave
from streamer.telemetry import traces as room
from streamer.telemetry.traces import Traces

AT = TopicPartition("photos", 0)
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def wave(*headers) -> Wave:
    items = tuple(
        Item(Record("photos", 0, n, 0, None, b"x", given)) for n, given in enumerate(headers)
    )
    return Wave(1, {AT: Slice(1, len(items), items)}, 1, born=0.0)


class Told:
    def __init__(self, **settings):
        self.exporter = InMemorySpanExporter()
        self.traces = Traces(TraceSettings(enabled=True, **settings), "me", self.exporter)
        self.line = self.traces.line("street", "group")

    def spans(self):
        self.traces.close()
        return self.exporter.get_finished_spans()


def test_a_share_of_the_records_without_a_parent_begins_a_trace():
    told = Told(sample=0.5)
    many = wave(*[()] * 400)
    told.line.begin(many)
    sampled = sum(item.trace is not None for item in many.items)
    assert 120 < sampled < 280  # 12 standard deviations off by chance: never
    told.line.settled(many)
    assert len(told.spans()) == sampled


def test_with_a_parent_its_flag_decides():
    told = Told(sample=0)
    one = wave((("traceparent", PARENT),), (("traceparent", PARENT[:-1] + b"0"),))
    told.line.begin(one)
    assert [item.trace is not None for item in one.items] == [True, False]


@pytest.mark.parametrize("value", [None, b"", b"\xff\xfe", b"00-zz-zz-01", b"00-" + b"0" * 32])
def test_a_parent_that_is_none_harms_nobody(value):
    told = Told(sample=1)
    one = wave((("traceparent", value),))
    told.line.begin(one)
    told.line.settled(one)
    [span] = told.spans()
    assert span.parent is None


def test_a_trace_may_be_linked_with_the_producers_instead_of_going_on_with_it():
    told = Told(sample=1, parent="link")
    one = wave((("traceparent", PARENT),))
    told.line.begin(one)
    told.line.settled(one)
    [span] = told.spans()
    assert span.parent is None
    [link] = span.links
    assert f"{link.context.trace_id:032x}" in PARENT.decode()
    assert span.context.trace_id != link.context.trace_id


def test_an_answer_carries_the_trace_and_a_dead_letter_does_not():
    told = Told(sample=1)
    for carry in (True, False):
        one = wave((("traceparent", PARENT), ("a", b"1")))
        told.line.begin(one)
        [item] = one.items
        item.output = OutRecord("out", b"k", b"v", item.record.headers, None, AT)
        sent = item.trace.sending(item.output, carry=carry)
        assert (sent.key, sent.value, sent.headers[-2 if not carry else 0]) == (
            b"k",
            b"v",
            item.record.headers[0] if not carry else ("a", b"1"),
        )
        assert (dict(sent.headers)["traceparent"] == PARENT) is not carry
        item.trace.ended(None)
    kinds = [span.kind for span in told.spans()]
    assert kinds.count(SpanKind.PRODUCER) == kinds.count(SpanKind.CONSUMER) == 2


def test_crops_of_one_record_in_a_batch_are_one_link():
    told = Told(sample=1)
    one = wave((), ())
    told.line.begin(one)
    first, second = (item.trace for item in one.items)
    first.ran([first, first, second], step="kind", model="m", version="2", items=3, seconds=0.01)
    told.line.settled(one)
    batch = next(span for span in told.spans() if span.name == "infer m")
    assert len(batch.links) == 2
    assert batch.attributes["messaging.batch.message_count"] == 3


def test_without_the_extra_it_is_said_which_one_to_install(monkeypatch):
    monkeypatch.setattr(room, "_MISSING", ImportError("no module named opentelemetry"))
    with pytest.raises(ConfigError, match=r"pip install 'streamer\[otel\]'"):
        Traces(TraceSettings(enabled=True), "me")


def test_a_daemon_without_traces_does_not_import_opentelemetry():
    code = "import sys, streamer.pipeline.daemon; print('opentelemetry' in sys.modules)"
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"

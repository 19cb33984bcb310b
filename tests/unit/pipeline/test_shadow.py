import base64
import json
import os
import sys

import msgspec
import psutil
import pytest
from support.items import topology
from support.registry import SchemaRegistry
from support.versions import version
from support.waiting import eventually

from streamer.config import Settings
from streamer.config.settings import RegistrySettings
from streamer.formats import enveloped
from streamer.models import load_version
from streamer.operate.opening import Opener
from streamer.pipeline.shadow import Shadow
from streamer.pipeline.tally import Tally
from streamer.records import Answer, Item, Record, Rejection
from streamer.testing import FakeKafka

STEP = "text-classification"
TEXTS = ("good", "bad awful", "fine good")


class Version:
    """What the champion of the line is to a tally."""


@pytest.fixture
def shadow(tmp_path):
    kafka = FakeKafka()
    kafka.create("out.shadow", 2)
    opened = []

    def made(kind="good", share=1.0, settings=None, **changed):
        models = tmp_path / "models"
        version(models, "mood", "1")
        version(models, "mood", "2", kind)
        found = [
            load_version(f"mood/{number}", beside=models, models_dir=models) for number in "12"
        ]
        tally = Tally("mood", "r1", Version(), None)
        given = topology(model=str(found[0].folder), task=STEP, **changed)
        one = Shadow(
            given,
            [STEP],
            tally,
            (found[0], found[1]),
            lambda record: record.offset % 10 < share * 10,
            "out.shadow",
            settings or Settings(),
            lambda: kafka.producer(given, None),
        )
        opened.append(one)
        return one

    made.kafka = kafka
    yield made
    for one in opened:
        one.stop()


def items(count: int, *, begin: int = 0, size: int = 0) -> list[Item]:
    """Answered records, as the champion says."""
    found = []
    for offset in range(begin, begin + count):
        text = TEXTS[offset % 3] + " " * size
        item = Item(Record("in", 0, offset, offset, b"k", text.encode(), (("h", None),)))
        label = "bad" if "bad" in text else "good"
        output = [{"label": label, "score": 0.9}]
        item.answers[STEP] = Answer(STEP, "mood", "1", output)
        found.append(item)
    return found


def counts(one: Shadow):
    return one.counts("host", "now")


def test_a_shadow_answers_aside_and_is_compared(shadow):
    one = shadow("wrong")
    one.offer(items(30))
    one.start()
    eventually(lambda: counts(one).candidate.records == 30, "30 records are looked at")
    found = counts(one)
    assert (found.compared, found.agreed, found.shed) == (30, 0, 0)
    assert found.champion.times[0] == found.candidate.times[0] > 0
    told = eventually(
        lambda: [json.loads(r.value) for r in shadow.kafka.records("out.shadow")], "its answers"
    )
    assert len(told) == 30
    assert {answer["predictions"][STEP]["version"] for answer in told} == {"2"}
    assert told[1]["predictions"][STEP]["output"][0]["label"] == "good"  # of "bad awful"
    assert {answer["source"]["offset"] for answer in told} == set(range(30))


MESSAGES = {
    "avro": (
        "AVRO",
        '{"type": "record", "name": "M", "fields": [{"name": "text", "type": "string"}]}',
        lambda text: bytes([2 * len(text)]) + text,
    ),
    "protobuf": (
        "PROTOBUF",
        'syntax = "proto3"; message M { string text = 1; }',
        lambda text: b"\0" + bytes([10, len(text)]) + text,
    ),
    "json-schema": (
        "JSON",
        json.dumps({"type": "object", "required": ["text"]}),
        lambda text: json.dumps({"text": text.decode()}).encode(),
    ),
}


@pytest.fixture
def registry():
    made = SchemaRegistry()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("form", "answers"),
    [("avro", "protobuf"), ("protobuf", "json-schema"), ("json-schema", "avro")],
)
def test_a_shadow_reads_and_writes_values_with_schemas(shadow, registry, form, answers):
    kind, schema, body = MESSAGES[form]
    number = registry.add(schema, kind)
    registry.away = 1  # it is waited for
    told = {"url": registry.url, "username": "me", "password": "hush"}
    settings = Settings(schema_registry=RegistrySettings(**told))
    one = shadow(
        settings=settings,
        source={"topics": ["in"], "format": form},
        sink={"topic": "out", "format": answers},
    )
    given = items(20)
    for item in given:
        value = b"\0" + number.to_bytes(4, "big") + body(item.record.value)
        item.record = msgspec.structs.replace(item.record, value=value)
    one.offer(given)
    one.start()
    eventually(lambda: counts(one).candidate.records == 20, "all are looked at")
    assert counts(one).candidate.errors == 0
    written = eventually(lambda: shadow.kafka.records("out.shadow"), "its answers")
    assert registry.subjects["out.shadow-value"]
    proof = base64.b64encode(b"me:hush").decode()
    assert set(registry.proofs) == {f"Basic {proof}"}, "the shadow's process knows the password"
    told = [json.loads(Opener(settings).plain(record).value) for record in written]
    labels = {
        answer["source"]["offset"]: answer["predictions"][STEP]["output"][0]["label"]
        for answer in told
    }
    assert labels == {n: "bad" if "bad" in TEXTS[n % 3] else "good" for n in range(20)}


def test_a_shadow_reads_and_writes_events(shadow):
    one = shadow(
        source={"topics": ["in"], "format": "cloudevents"},
        sink={"topic": "out", "format": "cloudevents"},
    )
    given = items(20)
    about = {"id": "1", "source": "/s", "type": "t"}
    for item in given:
        content = json.dumps({"text": item.record.value.decode()}).encode()
        value, headers = enveloped(content, about, structured=True)
        item.record = msgspec.structs.replace(item.record, value=value, headers=headers)
    one.offer(given)
    one.start()
    eventually(lambda: counts(one).candidate.records == 20, "all are looked at")
    assert counts(one).candidate.errors == 0
    [first, *_] = eventually(lambda: shadow.kafka.records("out.shadow"), "its answers")
    assert dict(first.headers)["ce_type"] == b"streamer.prediction.v1"


def test_a_registry_that_refuses_the_answers_schema_ends_the_shadow_and_is_named(shadow, registry):
    told = RegistrySettings(url=registry.url, register_schemas=False)
    one = shadow(
        settings=Settings(schema_registry=told), sink={"topic": "out", "format": "json-schema"}
    )
    one.start()
    assert "out.shadow-value" in eventually(lambda: counts(one).failed, "the failure is told")


def test_what_is_behind_is_shed_and_never_waited_for(shadow):
    one = shadow()  # nobody takes anything: the process is not started
    for begin in range(0, 2000, 100):
        one.offer(items(100, begin=begin))
    assert counts(one).shed == 2000 - 512
    large = shadow()
    large.offer(items(100, size=2**20))
    assert counts(large).shed == 100 - 31


def test_only_its_share_is_looked_at_and_nothing_that_never_came_to_the_model(shadow):
    one = shadow(share=0.3)
    given = items(100)
    for item in given[::2]:
        item.rejection = Rejection("decode", None, "r", "E", "m")
    one.offer(given)
    one.start()
    eventually(lambda: counts(one).candidate.records == 10, "10 are looked at")
    assert counts(one).shed == 0


def test_a_candidate_that_fails_on_a_record_counts_as_an_error_and_says_nothing(shadow):
    one = shadow("nan")
    given = items(20)
    given[0].rejection = Rejection("infer", STEP, "r", "E", "m")
    one.offer(given)
    one.start()
    eventually(lambda: counts(one).candidate.records == 20, "all are looked at")
    found = counts(one)
    assert (found.champion.errors, found.candidate.errors, found.compared) == (1, 20, 0)
    assert shadow.kafka.records("out.shadow") == []


def test_a_candidate_that_does_not_load_is_a_failure_that_names_its_reason(shadow, tmp_path):
    one = shadow()
    (tmp_path / "models" / "mood" / "2" / "model.onnx").write_bytes(b"no model")
    one.start()
    found = eventually(lambda: counts(one).failed, "the failure is told")
    assert "model.onnx" in found
    one.offer(items(10))
    assert counts(one).shed == 10


def test_a_process_that_dies_is_a_failure_of_the_candidate_alone(shadow):
    one = shadow()
    one.offer(items(10))
    one.start()
    eventually(lambda: counts(one).candidate.records == 10, "it works")
    one._process.kill()
    one.offer(items(10))
    assert "died" in eventually(lambda: counts(one).failed, "the death is noticed")


def test_a_kafka_that_takes_no_answers_speaks_for_nobody(shadow):
    one = shadow()
    shadow.kafka.fail("flush", "lost")
    one.offer(items(32))
    one.start()
    eventually(lambda: counts(one).candidate.records == 32, "the first are looked at")
    one.offer(items(32, begin=32))
    eventually(lambda: counts(one).candidate.records == 64, "and the next")
    assert counts(one).failed is None

    def offsets() -> set[int]:
        written = shadow.kafka.records("out.shadow")
        return {json.loads(record.value)["source"]["offset"] for record in written}

    eventually(lambda: offsets() >= set(range(32, 64)), "the next are written")


@pytest.mark.skipif(sys.platform != "linux", reason="platform: SCHED_IDLE is Linux's")
def test_the_shadows_process_runs_only_on_cores_that_nobody_wants(shadow):
    one = shadow("wrong")
    one.start()
    one.offer(items(3))
    eventually(lambda: counts(one).candidate.records == 3, "3 records are looked at")
    [worker] = [
        child
        for child in psutil.Process().children()
        if "streamer.pipeline.shadow_worker" in child.cmdline()
    ]
    assert os.sched_getscheduler(worker.pid) == os.SCHED_IDLE
    threads = {os.sched_getscheduler(thread.id) for thread in worker.threads()}
    assert threads == {os.SCHED_IDLE}

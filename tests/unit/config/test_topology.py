import re
from pathlib import Path

import pytest

from streamer.config import load_topology, topology_schema
from streamer.errors import ConfigError

GOOD = """\
name: street
source:
  topics: [street.photos]
  format: image
models:
  signs: {uri: models/signs}
  kinds: {uri: models/kinds, batch: {max_size: auto, max_wait: 5ms}}
steps:
  detect: {model: signs, task: object-detection, threshold: 0.4}
  kind:
    model: kinds
    from: detect.crops
sink:
  topic: street.predictions
"""

# (what is replaced, by what, what the message must say after the file's name)
WRONG = {
    "unknown key at the top": (
        "name: street",
        "name: street\nsorce: 1",
        ":2: sorce: unknown key; did you mean 'source'?",
    ),
    "unknown key in source": (
        "  format: image",
        "  format: image\n  grup: a",
        ":5: source.grup: unknown key; did you mean 'group'?",
    ),
    "unknown key in fields": (
        "  format: image",
        "  format: image\n  fields: {sentence3: a}",
        ":5: source.fields.sentence3: unknown key; did you mean 'sentence",
    ),
    "unknown key in fetch": (
        "  format: image",
        "  format: image\n  fetch: {alow: [a]}",
        ":5: source.fetch.alow: unknown key; did you mean 'allow'?",
    ),
    "unknown key in limits": (
        "  format: image",
        "  format: image\n  limits: {pixel: 9}",
        ":5: source.limits.pixel: unknown key; did you mean 'pixels'?",
    ),
    "unknown key in images": (
        "  format: image",
        "  format: image\n  images: {trunkated: allow}",
        ":5: source.images.trunkated: unknown key; did you mean 'truncated'?",
    ),
    "answers kept for pictures that are fetched": (
        "  format: image\nmodels:\n  signs: {uri: models/signs}",
        "  format: image\n  fetch: {allow: [s3://a]}\nmodels:\n  signs: {uri: m, repeats: 1MiB}",
        ":7: models.signs.repeats: not beside source.fetch: what lies behind a URI may change",
    ),
    "unknown key in a model": (
        "{uri: models/signs}",
        "{url: models/signs}",
        ":6: models.signs.uri: is missing",
    ),
    "unknown key in a batch": (
        "max_size: auto",
        "max_sise: auto",
        ":7: models.kinds.batch.max_sise: unknown key; did you mean 'max_size'?",
    ),
    "unknown key in a step": (
        "from: detect.crops",
        "form: detect.crops",
        ":12: steps.kind.form: unknown key; did you mean 'from'?",
    ),
    "unknown key in sink": (
        "  topic: street.predictions",
        "  topics: street.predictions",
        ":14: sink.topics: unknown key; did you mean 'topic'?",
    ),
    "unknown key in wave": (
        "sink:",
        "wave: {max_record: 3}\nsink:",
        ":13: wave.max_record: unknown key; did you mean 'max_records'?",
    ),
    "unknown key with nothing like it": (
        "sink:",
        "deadletter: {topic: x, colour: red}\nsink:",
        ":13: deadletter.colour: unknown key; known are ",
    ),
    "a text where a list belongs": (
        "[street.photos]",
        "street.photos",
        ":3: source.topics: expected a list, as in [street.photos]; got 'street.photos'",
    ),
    "no topic at all": (
        "[street.photos]",
        "[]",
        ":3: source.topics: expected at least one entry; the list is empty",
    ),
    "a topic's name that Kafka refuses": (
        "[street.photos]",
        "[street photos]",
        ":3: source.topics.0: expected a topic's name",
    ),
    "a format that is none": (
        "format: image",
        "format: imag",
        (
            ":4: source.format: expected 'image', 'text', 'json', 'avro', 'protobuf', "
            "'json-schema' or 'cloudevents'; got 'imag'; did you mean 'image'?"
        ),
    ),
    "a duration without unit": (
        "max_wait: 5ms",
        "max_wait: 5",
        ":7: models.kinds.batch.max_wait: write a number with its unit (us, ms, s, m, h, d), as in",
    ),
    "a duration with a point and no unit": ("max_wait: 5ms", "max_wait: 0.5", "; got 0.5"),
    "a duration with a size's unit": ("max_wait: 5ms", "max_wait: 5MB", "as in 5ms; got '5MB'"),
    "a size with a duration's unit": (
        "  format: image",
        "  format: image\n  limits: {value: 3s}",
        ":5: source.limits.value: write a number with its unit (B, kB,",
    ),
    "a union's members speak with one voice": (
        "max_size: auto",
        "max_size: many",
        ":7: models.kinds.batch.max_size: expected a whole number or 'auto'; got 'many'",
    ),
    "a number out of its bounds": (
        "threshold: 0.4",
        "threshold: 40",
        ":9: steps.detect.threshold: expected at most 1.0; got 40",
    ),
    "a number where a text belongs": (
        "name: street",
        "name: 12",
        ":1: name: expected text; got 12 (write it in quotes: '12')",
    ),
    "a name with a blank": ("name: street", "name: my street", ":1: name: expected a name of"),
    "a device that is none": (
        "{uri: models/signs}",
        "{uri: models/signs, device: gpu0}",
        ":6: models.signs.device: expected auto, cpu, cuda, cuda:N or a GPU's UUID; got 'gpu0'",
    ),
    "a section without content": ("sink:\n  topic: street.predictions\n", "sink:\n", ":13: sink: "),
    "a missing section": (
        "sink:\n  topic: street.predictions\n",
        "",
        ": sink: is missing",
    ),
    "a step of a model that is not there": (
        "{model: signs,",
        "{model: sings,",
        ":9: steps.detect.model: there is no model 'sings'; did you mean 'signs'?",
    ),
    "crops of a step that is not there": (
        "from: detect.crops",
        "from: detects.crops",
        ":12: steps.kind.from: no step 'detects' stands before this one; did you mean 'detect'?",
    ),
    "crops of the step itself": (
        "from: detect.crops",
        "from: kind.crops",
        ":12: steps.kind.from: no step 'kind' stands before this one",
    ),
    "something else than crops": (
        "from: detect.crops",
        "from: detect",
        ":12: steps.kind.from: expected STEP.crops; got 'detect'",
    ),
    "a topic that is read and written": (
        "topic: street.predictions",
        "topic: street.photos",
        ":14: sink.topic: the topic 'street.photos' is also read: its records would go in circles",
    ),
    "dead letters that are read": (
        "sink:",
        "deadletter: {topic: street.photos}\nsink:",
        ":13: deadletter.topic: the topic 'street.photos' is also read",
    ),
    "dead letters among predictions": (
        "sink:",
        "deadletter: {topic: street.predictions}\nsink:",
        ":13: deadletter.topic: must not be the topic of the predictions",
    ),
    "a topic twice": (
        "[street.photos]",
        "[street.photos, street.photos]",
        ":3: source.topics: a topic stands twice",
    ),
    "both forms at once": (
        "name: street",
        "name: street\nmodel: models/signs",
        "either 'model' (one model), or 'models' and 'steps', not both",
    ),
    "no model at all": (
        re.compile(r"models:.*(?=sink)", re.DOTALL),
        "",
        ": no model at work: write 'model:', or 'models:' and 'steps:'",
    ),
}


def refusal(folder: Path, text: str) -> str:
    file = folder / "street.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_topology(file)
    return str(caught.value).replace(str(file), "")


def test_a_good_file_is_read_with_its_defaults(tmp_path):
    file = tmp_path / "street.yaml"
    file.write_text(GOOD)
    topology = load_topology(file)
    assert topology.group == "street"
    assert topology.deadletter_topic == "street.predictions.deadletters"
    assert topology.models["kinds"].batch.max_wait == 0.005
    assert topology.steps["kind"].from_ == "detect.crops"
    assert topology.unused_models == []


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_its_line_and_what_would_be_right(tmp_path, case):
    old, new, said = WRONG[case]
    text = old.sub(new, GOOD) if isinstance(old, re.Pattern) else GOOD.replace(old, new)
    assert text != GOOD
    assert said in refusal(tmp_path, text)


def test_everything_wrong_is_said_at_once_in_the_order_of_the_file(tmp_path):
    told = refusal(tmp_path, GOOD.replace("street", "my street").replace("0.4", "4"))
    lines = [int(match[1]) for match in re.finditer(r"^:(\d+):", told, re.MULTILINE)]
    assert len(lines) >= 4
    assert lines == sorted(lines)


def test_the_short_form_is_one_model_and_one_step_named_by_the_task(tmp_path):
    file = tmp_path / "short.yaml"
    file.write_text(
        "name: s\nmodel: models/intents\ntask: text-classification\n"
        "source: {topics: [a], format: text}\nsink: {topic: b}\n"
    )
    topology = load_topology(file)
    assert [ref.uri for ref in topology.models.values()] == ["models/intents"]
    assert list(topology.steps) == ["text-classification"]


def test_the_schema_knows_every_key_and_writes_defaults_with_units():
    schema = topology_schema()
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Limits"]["properties"]["value"]["default"] == "32MiB"
    assert schema["$defs"]["StepConfig"]["properties"].keys() >= {"from", "model", "task"}
    assert "from_" not in schema["$defs"]["StepConfig"]["properties"]


TEXT_STEPS = """
name: support
source: {topics: [in], format: text}
models:
  m2m: {uri: models/m2m, options: {tgt_lang: de, max_new_tokens: 20}}
steps:
  german: {model: m2m, task: translation}
  french: {model: m2m, task: translation, tgt_lang: fr}
sink: {topic: out}
"""


def test_what_a_step_says_of_its_task_goes_before_what_the_model_says(tmp_path):
    (tmp_path / "t.yaml").write_text(TEXT_STEPS)
    topology = load_topology(tmp_path / "t.yaml")
    german = topology.model_of(topology.steps["german"])
    assert (german.options.tgt_lang, german.options.max_new_tokens) == ("de", 20)
    french = topology.model_of(topology.steps["french"])
    assert (french.options.tgt_lang, french.options.max_new_tokens) == ("fr", 20)
    assert topology.models["m2m"].options.tgt_lang == "de"

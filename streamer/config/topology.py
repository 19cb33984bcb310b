"""The topology file: which topics flow through which models into which topics."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from streamer.config.explain import suggestion
from streamer.config.files import load_section
from streamer.config.options import TaskOptions
from streamer.config.schema import file_schema
from streamer.config.section import Location, Section, misfits
from streamer.config.texts import text_like
from streamer.config.units import Duration, Share, Size

_MAX_TOPIC_NAME = 249
Name = Annotated[
    str,
    text_like(
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}",
        "a name of letters, digits, '.', '_' and '-', as in street-1",
    ),
]
TopicName = Annotated[
    str,
    text_like(
        r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}",
        "a topic's name: at most 249 letters, digits, '.', '_' and '-'",
    ),
]
Colour = Annotated[str, text_like(r"#[0-9a-fA-F]{6}", "a colour, as in '#ffffff' (in quotes)")]
Device = Annotated[
    str,
    text_like(r"auto|cpu|cuda(:\d+)?|(GPU|MIG)-[\w/-]+", "auto, cpu, cuda, cuda:N or a GPU's UUID"),
]
ClientSettings = dict[str, Any]


def _as_written(value: Any) -> Any:
    """Take switches and numbers for the texts that ONNX Runtime wants."""
    if not isinstance(value, dict):
        return value
    return {
        name: str(one).lower() if isinstance(one, bool | int | float) else one
        for name, one in value.items()
    }


Settled = Annotated[dict[str, str], BeforeValidator(_as_written)]


class Limits(Section):
    """What a record may ask of the daemon; beyond it the record is a dead letter."""

    value: Size = 32 * 2**20
    """Bytes of a record's value."""
    pixels: Annotated[int, Field(gt=0)] = 100_000_000
    """Pixels of a picture (width times height), read from its header before it is decoded."""
    text: Size = 2**20
    """Bytes of a text, as UTF-8."""
    json_depth: Annotated[int, Field(gt=0, le=512)] = 32
    """Levels of nesting in a JSON value."""


class Images(Section):
    """How pictures are read."""

    truncated: Literal["reject", "allow"] = "reject"
    """Whether a picture whose end is missing is answered from what is there (JPEG, PNG, WebP and
    BMP; of GIF and TIFF too little can be read)."""
    decode: Literal["exact", "fast", "gpu"] = "exact"
    """`fast`: large JPEGs are decoded at a half, a quarter or an eighth of their size where that is
    still twice what every model takes. Pixels differ a little from those of whole decoding;
    `streamer bench` says what that does to answers here. Never where crops are cut.
    `gpu`: JPEGs are decoded whole on the GPU, by nvImageCodec (`streamer[nvimgcodec]`), and come
    back to be resized; a daemon without a GPU refuses to start."""
    background: Colour | None = None
    """Colour put behind transparent pixels; without it the alpha channel is dropped."""


class Fields(Section):
    """Where the parts of a JSON record are: a name, or a JSON pointer that begins with '/'."""

    text: str = "text"
    """A text."""
    image: str = "image"
    """A picture, base64."""
    image_uri: str = "image_uri"
    """Where a picture is to be fetched from."""
    sentence1: str = "sentence1"
    """The first sentence of a pair."""
    sentence2: str = "sentence2"
    """The second sentence of a pair."""


class Fetch(Section):
    """Whether pictures named by `image_uri` are fetched, and from where."""

    allow: tuple[str, ...] = ()
    """Prefixes a URI may begin with, by whole path segments, as in https://host/photos or
    s3://bucket/in; none: nothing is ever fetched."""
    max_size: Size = 32 * 2**20
    """Bytes fetched at the most. A record that names a URI counts with this and with
    `limits.pixels` against `wave.max_bytes`: lower both to fetch more at a time."""
    timeout: Duration = 10.0
    """How long one fetch may take, retries included."""


class Source(Section):
    """Where records come from."""

    topics: Annotated[tuple[TopicName, ...], Field(min_length=1)]
    """Topics that are read."""
    format: Literal["image", "text", "json", "avro", "protobuf", "json-schema", "cloudevents"]
    """What a value is: an encoded picture, UTF-8 text, a JSON object; a value with a schema of the
    registry, read as a JSON object is; or a CloudEvent around JSON, a text or a picture."""
    group: str | None = None
    """Consumer group; the topology's name if left out."""
    auto_offset_reset: Literal["earliest", "latest"] = "earliest"
    """Where a group begins that has no committed position."""
    on_offset_out_of_range: Literal["stop", "earliest", "latest"] | None = None
    """What to do when retention has passed the committed position. Default: stop where delivery
    is exactly-once, else earliest; what was lost is logged and counted."""
    tombstone: Literal["deadletter", "pass", "drop"] = "deadletter"
    """What becomes of a record with a null value: a dead letter, a null value in the output, or
    nothing."""
    fields: Fields = Fields()
    fetch: Fetch = Fetch()
    limits: Limits = Limits()
    images: Images = Images()
    kafka: ClientSettings = {}
    """Further settings of the consumer, named as the client names them."""


class Batch(Section):
    """How a model's batches are closed."""

    max_size: Annotated[int, Field(gt=0)] | Literal["auto"] = "auto"
    """Items in a batch at the most."""
    max_wait: Duration = 0.0
    """How long an idle line holds a first record back in the hope of more; 0: not at all."""
    max_cost: Annotated[int, Field(gt=0)] | Literal["auto"] = "auto"
    """Padded tokens or pixels in a batch at the most."""
    deterministic: bool = False
    """Whether an answer must not depend on what else is in its batch: texts of a model that does
    not answer the same in every batch run with those of their length only, or one by one."""


class ModelRef(Section):
    """A model, by where it is, and how it is run."""

    uri: str
    """A directory or a file (looked up beside this file, then in STREAMER_MODELS__DIR),
    `registry:NAME`, `hf:ORG/REPO@COMMIT`, `models:/NAME/VERSION` of MLflow, or a URL as in
    s3://bucket/folder."""
    batch: Batch = Batch()
    device: Device = "auto"
    """`auto`, `cpu`, `cuda:N`, or the UUID of a GPU."""
    sessions: Annotated[int, Field(gt=0, le=64)] | Literal["auto"] = "auto"
    """Sessions that share a wave's batches."""
    threads: Annotated[int, Field(gt=0, le=256)] | Literal["auto"] = "auto"
    """Threads of each session."""
    isolation: Literal["none", "process"] = "none"
    """`process`: each session in a process of its own, so that a native crash costs the record
    that caused it, not the daemon; costs a copy of each batch."""
    provider: Literal["auto", "cpu", "cuda", "tensorrt", "openvino", "coreml", "directml"] = "auto"
    """What ONNX Runtime computes with; `auto`: CUDA on a GPU, else the CPU. One that is named is
    used or refused."""
    precision: Literal["auto", "fp32", "fp16", "bf16", "int8"] = "auto"
    """Of Torch's weights and what is computed with them; `auto`: the file's own. Of ONNX files
    `int8` and `fp16` take the twin that `streamer models quantize` has made; TensorRT needs none
    for `fp16`."""
    memory: Size | None = None
    """GPU memory that a session may take, as in 8GiB; all there is if left out."""
    fuse: bool | Literal["auto"] = "auto"
    """Whether pictures go to the model as bytes, and are cast, normalised and transposed in front
    of it on its device (ONNX, Torch); `auto`: on GPUs. `true` is refused where it cannot be."""
    compile: bool = False
    """Whether Torch compiles the model (`torch.compile`): the first batches take minutes."""
    allow_bin: bool = False
    """Whether a Hugging Face folder without safetensors is read from its `pytorch_model.bin`, a
    pickle of which only weights are taken."""
    session_options: Settled = {}
    """Options of an ONNX Runtime session by their name there, as in graph_optimization_level:
    extended, or session.intra_op.allow_spinning: '0'."""
    provider_options: Settled = {}
    """Options of its provider by their name there."""
    repeats: Size | None = None
    """Memory for answers that are given again to records with the same value, byte for byte; none
    if left out. Not for a model whose answers depend on what else is in the batch, nor where
    pictures are fetched or values come as CloudEvents."""
    options: TaskOptions = TaskOptions()
    """Choices of single tasks, as a step may make them, for every step that uses the model."""

    def __hash__(self) -> int:
        """Hash it although mappings are in it: models are shared by it."""
        return hash(self.model_dump_json())


class _Step(Section):
    """What every step has."""

    model: str
    """A name under `models`."""
    task: str | None = None
    """What the model does; read from the model's manifest if left out."""
    from_: Annotated[str | None, Field(alias="from")] = None
    """`STEP.crops` to work on the boxes that another step found; the record if left out."""
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """Lowest score that is answered; the model's own if left out."""
    top_k: Annotated[int, Field(gt=0)] | None = None
    """Labels answered at the most; the model's own if left out, else 5."""
    max_crops: Annotated[int, Field(gt=0)] = 100
    """With `from`: boxes of a record at the most, best first."""


class StepConfig(TaskOptions, _Step):
    """One model at work."""


class Sink(Section):
    """Where predictions go."""

    topic: TopicName
    """Topic of the predictions."""
    format: Literal["json", "avro", "protobuf", "json-schema", "cloudevents"] = "json"
    """How a prediction is written; `avro`, `protobuf` and `json-schema` with a schema registry."""
    mode: Literal["binary", "structured"] = "binary"
    """With cloudevents: the event's attributes in headers, or in the value."""
    partition: Literal["key", "source"] = "key"
    """By the key as Kafka's default partitioner does (a keyless record: by its source
    partition), or all by source partition."""
    timestamp: Literal["source", "now"] = "source"
    """A prediction's timestamp: its record's, or the time of sending."""
    kafka: ClientSettings = {}
    """Further settings of the producer, named as the client names them."""


class DeadLetter(Section):
    """Where records go that can't be answered, and when it is the model that can't answer."""

    topic: TopicName
    """Topic of the dead letters."""
    max_ratio: Share = 0.5
    """Share of the last records that may fail in a model's steps before the topology stops: a
    broken model must not empty a topic into its dead letters. 100%: never. Values that can't be
    decoded don't count."""
    window: Annotated[int, Field(gt=0)] = 1000
    """Records over which the share is taken."""
    max_consecutive: Annotated[int, Field(gt=0)] = 200
    """Records in a row that may fail in a model's steps before the topology stops."""


class WaveLimits(Section):
    """How much is taken up at once."""

    max_records: Annotated[int, Field(gt=0)] = 4096
    """Records of a wave at the most; of slower models it holds what they do in half a second."""
    max_bytes: Size = 256 * 2**20
    """Encoded plus decoded bytes of a wave at the most; a larger record passes alone."""
    max_latency: Annotated[Duration, Field(gt=0)] | None = None
    """How long a record is to take at the most while the line keeps up with its topics: waves are
    smaller then, and texts are padded more. A line that is far behind goes for throughput
    whatever is written here. Left out: about two seconds under load."""


class Topology(Section):
    """A graph of steps between a source and a sink."""

    name: Name
    """Names the topology in predictions, metrics and logs, and the consumer group."""
    delivery: Literal["at-least-once", "exactly-once"] = "at-least-once"
    """What a crash may do: repeat some predictions, or nothing at all."""
    source: Source
    models: dict[Name, ModelRef] = {}
    """Models by the name that steps use."""
    steps: dict[Name, StepConfig] = {}
    """Steps by name."""
    model: str | None = None
    """With one model, instead of `models` and `steps`: its uri."""
    task: str | None = None
    """With `model`: what it does; read from the model's manifest if left out."""
    sink: Sink
    deadletter: DeadLetter | None = None
    """Where records go that can't be answered; the sink's topic with `.deadletters` behind it if
    left out."""
    wave: WaveLimits = WaveLimits()
    commit_interval: Duration = 0.1
    """Longest time that answered records wait for their commit."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, content: Any) -> Any:
        """Write out `model:` and `task:` at the top as one model and one step of that name."""
        if not isinstance(content, dict) or content.get("model") is None:
            return content
        if content.get("models") or content.get("steps"):
            message = "write either 'model' (one model), or 'models' and 'steps', not both"
            raise ValueError(message)
        if not isinstance(content["model"], str):
            message = "'model' is a uri, as in model: models/signs"
            raise ValueError(message)
        step = str(content.get("task") or "predict")
        return {
            **content,
            "models": {"model": {"uri": content["model"]}},
            "steps": {step: {"model": "model", "task": content.get("task")}},
        }

    @model_validator(mode="after")
    def _fits(self) -> Self:
        found = [*self._misfits_of_steps(), *self._misfits_of_repeats(), *self._misfits_of_topics()]
        if found:
            raise misfits("topology", found)
        return self

    def _misfits_of_steps(self) -> Iterator[tuple[Location, str]]:
        """Find steps without a model, or without what they work on."""
        if not self.steps:
            yield (), "no model at work: write 'model:', or 'models:' and 'steps:'"
        earlier: list[str] = []
        for name, step in self.steps.items():
            at: Location = ("steps", name)
            if step.model not in self.models:
                hint = suggestion(step.model, self.models)
                yield (*at, "model"), f"there is no model '{step.model}'{hint}"
            if step.from_ is not None:
                origin, dot, part = step.from_.rpartition(".")
                if not dot or part != "crops":
                    yield (*at, "from"), f"expected STEP.crops; got '{step.from_}'"
                elif origin not in earlier:
                    hint = suggestion(origin, earlier)
                    yield (*at, "from"), f"no step '{origin}' stands before this one{hint}"
            earlier.append(name)

    def _misfits_of_repeats(self) -> Iterator[tuple[Location, str]]:
        """Find answers that would be kept although what they are about may have changed."""
        for name, ref in self.models.items():
            if ref.repeats and self.source.fetch.allow:
                told = "not beside source.fetch: what lies behind a URI may change, its record not"
                yield ("models", name, "repeats"), told
            if ref.repeats and self.source.format == "cloudevents":
                told = "not beside cloudevents: their headers say what a value is, too"
                yield ("models", name, "repeats"), told

    def _misfits_of_topics(self) -> Iterator[tuple[Location, str]]:
        """Find topics that would feed themselves or mix what must stay apart."""
        read = self.source.topics
        if len(set(read)) < len(read):
            yield ("source", "topics"), "a topic stands twice"
        if self.deadletter_topic == self.sink.topic:
            yield ("deadletter", "topic"), "must not be the topic of the predictions"
        if len(self.deadletter_topic) > _MAX_TOPIC_NAME:
            yield (
                ("sink", "topic"),
                "too long to add '.deadletters' to it: write deadletter: {topic: NAME}",
            )
        for at, topic in (
            (("sink", "topic"), self.sink.topic),
            (("deadletter", "topic"), self.deadletter_topic),
        ):
            if topic in read:
                told = f"the topic '{topic}' is also read: its records would go in circles"
                yield at, told

    def model_of(self, step: StepConfig) -> ModelRef:
        """Give a step's model, with what the step says of its task."""
        told = {name: getattr(step, name) for name in TaskOptions.model_fields}
        told = {name: value for name, value in told.items() if value is not None}
        ref = self.models[step.model]
        return ref.model_copy(update={"options": ref.options.model_copy(update=told)})

    @property
    def unused_models(self) -> list[str]:
        """The models that no step names: probably a slip, but none that harms."""
        used = {step.model for step in self.steps.values()}
        return [name for name in self.models if name not in used]

    @property
    def group(self) -> str:
        """The consumer group."""
        return self.source.group or self.name

    @property
    def deadletter_topic(self) -> str:
        """The topic of the dead letters."""
        return self.deadletter_section.topic

    @property
    def deadletter_section(self) -> DeadLetter:
        """The section of the dead letters, its default written out."""
        return self.deadletter or DeadLetter(topic=f"{self.sink.topic}.deadletters")


def load_topology(path: Path) -> Topology:
    """Read a topology file.

    Raises:
        ConfigError: naming file, line, key, what is wrong and what would be right.
    """
    return load_section(path, Topology)


def topology_schema() -> dict[str, Any]:
    """Give the JSON Schema of a topology file, for editors."""
    return file_schema(Topology, "streamer topology")

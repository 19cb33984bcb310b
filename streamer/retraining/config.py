"""The sidecar's file: which model learns from which labels, and what a better one has to prove."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from streamer.config.files import load_section
from streamer.config.schema import file_schema
from streamer.config.section import Section, misfits
from streamer.config.topology import TopicName
from streamer.config.units import Duration, Share, Size
from streamer.models.location import registry_name

_DAY_S = 86_400.0
Count = Annotated[int, Field(gt=0)]
Kind = Literal["head", "finetune", "from-scratch", "embedding", "calibrate"]


class Capture(Section):
    """Copies of input records, for labels that come after the topic's retention has passed them."""

    share: Share = 0.0
    """Share of the answered records that is kept; those that labels were requested for always
    are, once `capture` is written."""
    keep: Duration = 30 * _DAY_S
    """How long."""
    max_size: Size = 2**30
    """Bytes at the most; the oldest go first."""


class LabelTopic(Section):
    """Where labels come from."""

    topic: TopicName
    """The labels topic."""
    delay: Duration = 3600.0
    """How long labels usually take: younger records count in no live accuracy."""
    deadletter: TopicName | None = None
    """Topic for records that are no labels; the labels topic with `.deadletters` behind it if left
    out."""
    capture: Capture | None = None


class LabelRequests(Section):
    """Asking people for labels."""

    topic: TopicName
    """Topic that requests are written to."""
    random: Share = 0.01
    """Share of the answers that is asked about at random: what live accuracy is measured on."""
    uncertain: Share = 0.02
    """Share of the answers with the lowest scores that is asked about beside that."""


class Replay(Section):
    """What of the labelled set is learnt from, where it has grown large."""

    max_examples: Count = 50_000
    """Training examples at the most."""
    new: Share = 0.5
    """Share of them that may be the newest ones; the rest is drawn evenly from the classes of all
    that came before, so that old classes are not forgotten."""


class Training(Section):
    """How the weights in `trainable/` are learnt: `finetune`, `from-scratch`, `embedding`."""

    layers: Literal["all"] | Count = "all"
    """Parts that learn: all, or the head and so many before it."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Of the last layers; by strategy and network if left out."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Factor from each part to the one before it: what sees the input first changes least."""
    epochs: Count | None = None
    """At the most. If left out 10, or with few examples as many as make 500 steps, but no more than
    100."""
    patience: Count | None = None
    """Ends after so many epochs without a lower loss on the validation side; the best counts. A
    third of the epochs if left out."""
    batch_size: Count = 16
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    augment: bool = True
    """Whether pictures are zoomed, shifted, mirrored and lit anew each time."""
    flips: bool = True
    """Whether they may be mirrored: not where left and right mean something (arrows, writing)."""
    pairs: Literal["cosine", "contrastive"] = "cosine"
    """With an embedder: the cosines of pairs become their scores, or come into their order."""
    device: str = "auto"
    """`auto`: a GPU if there is one; `cpu`, `cuda`, `cuda:1`."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """What is computed in; weights, and what the loss is made of, are float32 always. `auto`:
    bfloat16 on GPUs that are made for it, float32 elsewhere."""


class Strategy(Section):
    """How is learnt."""

    kind: Kind
    """`head`: a new linear head on the frozen model. `calibrate`: probabilities that mean what they
    say. `finetune`, `from-scratch`, `embedding`: of what a version carries in `trainable/`."""
    features: str | None = None
    """With `head`: the tensor that the head works on; the input of the last matrix product if left
    out."""
    head: Literal["linear", "mlp"] = "linear"
    """With `head`: whether it has a hidden layer."""
    hidden: Count = 128
    """With `head: mlp`: units of that layer."""
    class_weight: Literal["none", "balanced"] = "none"
    """`balanced`: examples of rare classes weigh more. Of classifiers with one label, and of
    tokens."""
    training: Training = Training()
    replay: Replay = Replay()
    seed: Annotated[int, Field(ge=0)] = 0
    """Of everything that is drawn."""


class Trigger(Section):
    """When is learnt anew; whichever comes first."""

    labels: Count | None = None
    """After so many new labels."""
    every: Duration | None = None
    """After so much time, if there are new labels at all."""
    accuracy_drop: bool = False
    """When the version that serves is right less often than before, by a test that may be looked at
    at any time."""
    drift: bool = False
    """When the newest examples are not like those that were learnt from (Kolmogorov-Smirnov on
    the features' main directions)."""


class Split(Section):
    """How examples are divided."""

    group: str = "key"
    """What stays on one side: `key`, `header:NAME`, a JSON pointer (`/customer/id`), or `none`.
    Near-duplicates always stay together, too."""
    validation: Share = 0.1
    """Share that choices are made by."""
    test: Share = 0.2
    """Share that the gate looks at, and nothing else ever does."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.validation + self.test >= 1:
            raise misfits("split", [(("test",), "validation and test leave nothing to learn from")])
        known = self.group in ("key", "none") or self.group.startswith(("header:", "/"))
        if not known:
            told = f"write key, header:NAME, a JSON pointer or none; got '{self.group}'"
            raise misfits("split", [(("group",), told)])
        return self


class Gate(Section):
    """What a challenger has to prove against the version that serves."""

    metric: Literal["auto", "accuracy", "balanced_accuracy", "nll", "f1", "spearman", "map50"] = (
        "auto"
    )
    """What is compared. `auto` is that of the task: accuracy; f1 with several labels and of
    entities; spearman of similarities; map50 of boxes. `nll` (negative log-likelihood) is for
    `calibrate`."""
    min_gain: Share = 0.01
    """Least gain, beside being surely better; 0: not being worse by more than `margin` is
    enough."""
    margin: Share = 0.005
    """What it may lose on the old classes together where labels are new, and with `min_gain: 0`."""
    per_class_margin: Share = 0.03
    """What it may lose on any class that has `class_examples` of the held-out ones."""
    class_examples: Count = 30
    """Least examples of a class that is looked at by itself."""
    min_examples: Count = 50
    """Fewer held-out examples are `inconclusive`."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """How probable a promotion without a true gain may be, over all looks together."""
    max_looks: Count = 20
    """Looks at one held-out set; then it is learnt from, and newer labels are held out instead."""
    records: Literal["auto", "random", "all"] = "auto"
    """Held-out labels that count: those asked for at random, or all; `auto`: the random ones where
    there are `min_examples` of them."""
    max_latency_ratio: Annotated[float, Field(gt=0)] = 1.2
    """Times the champion's time of a batch."""
    max_size_ratio: Annotated[float, Field(gt=0)] = 1.5
    """Times the champion's size on disk."""
    must_pass: Path | None = None
    """File of JSON lines, `{"text": …, "label": …}` or `{"file": …, "label": …}`, that must be
    answered so."""


class RolloutPlan(Section):
    """How a challenger that has passed comes into service."""

    mode: Literal["promote", "canary", "shadow", "approve"] = "canary"
    """`approve`: it waits in the registry for `streamer models promote`."""
    share: Share = 0.1
    """With canary and shadow: of the keys."""
    max_time: Duration = 1800.0
    """With canary and shadow: inconclusive after this long."""
    rules: dict[str, Any] = {}
    """Further rules of the rollout."""


class Budget(Section):
    """What a run may take of the machine."""

    threads: Count = 1
    """CPU threads."""
    max_time: Duration = 1200.0
    """A run that takes longer is given up."""
    niceness: Annotated[int, Field(ge=0, le=19)] = 10
    """Of the process: a machine that it shares goes on serving."""
    gpu_memory: Share = 0.5
    """Of a GPU's memory, where one is learnt with."""


class RetrainFile(Section):
    """What `streamer retrain` reads."""

    model: str
    """`registry:NAME`: the model that learns."""
    topology: Path
    """File of the topology that the model serves in; beside this file if relative."""
    step: str | None = None
    """The step whose answers are labelled; needed where several use the model."""
    labels: LabelTopic
    label_requests: LabelRequests | None = None
    set: str | None = None
    """Folder or URL of the labelled set and of all runs; `retraining/NAME` beside this file if left
    out."""
    strategy: Strategy
    trigger: Trigger = Trigger()
    split: Split = Split()
    gate: Gate = Gate()
    rollout: RolloutPlan = RolloutPlan()
    budget: Budget = Budget()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.model.startswith("registry:"):
            told = "the model that learns is in the registry: write registry:NAME"
            raise misfits("retrain", [(("model",), told)])
        if "@" in self.model:
            told = "without a version: whichever serves is what a challenger is compared with"
            raise misfits("retrain", [(("model",), told)])
        if self.deadletter_topic == self.labels.topic:
            told = "must not be the labels topic"
            raise misfits("retrain", [(("labels", "deadletter"), told)])
        return self

    @property
    def name(self) -> str:
        """The model's name in the registry."""
        return registry_name(self.model)[0]

    @property
    def deadletter_topic(self) -> str:
        """Where records go that are no labels."""
        return self.labels.deadletter or f"{self.labels.topic}.deadletters"


def load_retrain(path: Path) -> RetrainFile:
    """Read the sidecar's file.

    Raises:
        ConfigError: naming file, line, key, what is wrong and what would be right.
    """
    return load_section(path, RetrainFile)


def retrain_schema() -> dict[str, Any]:
    """Give the JSON Schema of the file, for editors."""
    return file_schema(RetrainFile, "streamer retrain")

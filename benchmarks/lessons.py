"""The labelled sets as lessons, and the versions that learn from them."""

import csv
import gzip
import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from streamer.graphs import export
from streamer.graphs.head import find_head
from streamer.graphs.headed import with_head
from streamer.graphs.samples import shapes_of
from streamer.models import Manifest, Version
from streamer.models.graph import Graph, Tensor
from streamer.models.version import load_version
from streamer.records import Image, Pair, Sample, Text
from streamer.retraining.examples import Side, digest_of
from streamer.retraining.labelled import Example
from streamer.retraining.lesson import Lesson, Part
from streamer.retraining.truth import Form, grown

Told = tuple[Sample, Any]
_MODELS = Path(__file__).parents[1] / "streamer" / "demo" / "models"
_MNIST_SIDE = 28


def lesson(
    train: Sequence[Told],
    test: Sequence[Told],
    known: Sequence[str],
    form: Form = "label",
    seed: int = 0,
) -> Lesson:
    """Make a lesson; a tenth of what is learnt from chooses."""
    order = np.random.default_rng(seed).permutation(len(train))
    tenth = max(len(train) // 10, 1)
    sides: dict[Side, Part] = {
        "validation": _part([train[at] for at in order[:tenth]], "validation"),
        "train": _part([train[at] for at in order[tenth:]], "train"),
        "test": _part(test, "test"),
    }
    seen = {name for part in sides.values() for name in part.names}
    labels = tuple(grown(known, seen, form))
    return Lesson(1, digest_of(f"{seed} {len(train)}".encode()), sides, labels, len(known), 0)


def _part(told: Sequence[Told], side: Side) -> Part:
    examples = [
        Example(
            sha=digest_of(_value(sample)),
            kind="image" if isinstance(sample, Image) else "text",
            names=(f"{side}-{at}",),
            answer=answer,
            cluster=f"{side}-{at}",
            side=side,
            signature=b"",
            random=False,
            labelled_at=0,
            sequence=1,
        )
        for at, (sample, answer) in enumerate(told)
    ]
    return Part(tuple(examples), tuple(sample for sample, _ in told))


def _value(sample: Sample) -> bytes:
    if isinstance(sample, Image):
        return sample.pixels.tobytes()
    return repr(sample).encode()


def texts(file: Path) -> list[Told]:
    """Read texts with their labels."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [(Text(one["text"]), one["label"]) for one in lines]


def pairs(file: Path) -> list[Told]:
    """Read pairs of sentences with their scores, as shares of the highest."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [(Pair(one["text1"], one["text2"]), one["score"] / 5) for one in lines]


def flowers(folder: Path) -> list[Told]:
    """Read the pictures of flowers with their kinds."""
    with (folder / "flowers.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return [(Image(_pixels(folder / row["file"])), row["label"]) for row in rows]


def digits(folder: Path) -> list[Told]:
    """Read handwritten digits."""
    with gzip.open(folder / "t10k-images-idx3-ubyte.gz") as stream:
        struct.unpack(">4i", stream.read(16))
        grey = np.frombuffer(stream.read(), np.uint8).reshape(-1, _MNIST_SIDE, _MNIST_SIDE)
    with gzip.open(folder / "t10k-labels-idx1-ubyte.gz") as stream:
        struct.unpack(">2i", stream.read(8))
        labels = np.frombuffer(stream.read(), np.uint8)
    return [
        (Image(np.repeat(one[:, :, None], 3, axis=2)), str(label))
        for one, label in zip(grey, labels, strict=True)
    ]


def cells(folder: Path) -> list[Told]:
    """Read pictures of blood with the boxes of their cells."""
    lines = (folder / "annotations.jsonl").read_text(encoding="utf-8").splitlines()
    told = [json.loads(line) for line in lines]
    return [(Image(_pixels(folder / one["file"])), one["objects"]) for one in told]


def _pixels(file: Path) -> Any:
    found = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if found is None:
        raise FileNotFoundError(file)
    return found


def with_labels(version: Version, folder: Path, labels: Sequence[str], **more: Any) -> Version:
    """Give a version with a head that knows nothing of these labels yet."""
    folder.mkdir(parents=True)
    head = find_head(version.file, next(iter(version.manifest.outputs)))
    if head.weights is None:
        raise ValueError(version.file)
    width = head.weights.shape[1]
    nothing = [(np.zeros((len(labels), width)), np.zeros(len(labels)))]
    with_head(version.file, head, nothing, folder / "model.onnx")
    for file in version.folder.glob("tokenizer.json"):
        (folder / file.name).write_bytes(file.read_bytes())
    told = version.manifest.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    told |= {"id2label": dict(enumerate(labels)), **more}
    for gone in ("files", "metrics", "lineage"):
        told.pop(gone, None)
    return _opened(folder, told)


def demo(name: str) -> Version:
    """Open a model of the demo."""
    return load_version(str(_MODELS / name / "1"), beside=_MODELS, models_dir=_MODELS)


def described(file: Path, folder: Path, told: dict[str, Any]) -> Version:
    """Give a bare file a manifest in a folder of its own."""
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(file.read_bytes())
    return _opened(folder, told)


def _opened(folder: Path, told: dict[str, Any]) -> Version:
    (folder / "model.yaml").write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")
    return load_version(str(folder), beside=folder, models_dir=folder)


def carrying(  # noqa: PLR0913 - what a version with weights is made of
    folder: Path,
    module: Any,
    config: dict[str, Any],
    tensors: tuple[dict[str, Any], dict[str, Any]],
    told: dict[str, Any],
    *,
    own: bool,
    beside: Callable[[Path], None] = lambda _: None,
) -> Version:
    """Write a version that carries its weights in `trainable/`."""
    from streamer.retraining.tuning.networks import Network

    folder.mkdir(parents=True)
    beside(folder)
    dtype = "int64" if "input_ids" in tensors[0] else "float32"
    graph = Graph(
        inputs=tuple(Tensor(name, dtype, shape) for name, shape in tensors[0].items()),
        outputs=tuple(Tensor(name, "float32", shape) for name, shape in tensors[1].items()),
        metadata={},
        class_labels=(),
        external=(),
    )
    network = Network(module.eval(), config, graph, own, "torch")
    shapes = shapes_of(Manifest.model_validate(told), config)
    export(network.exportable(), shapes, folder / "model.onnx")
    network.save(folder / "trainable")
    return _opened(folder, told)

"""A version of `intents` that has seen one message of each kind, to begin with."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import yaml

from streamer.demo.messages import labels, training_messages
from streamer.graphs.head import expose, find_head
from streamer.graphs.headed import with_head
from streamer.models.location import MANIFEST
from streamer.models.version import load_version
from streamer.records import Text
from streamer.retraining.runner import Runner

_SEED = 3
_OUTPUT = "logits"


def write_beginner(shipped: Path, target: Path) -> None:
    """Write a version whose head is one message of each kind: the nearest one is the answer.

    Args:
        shipped: the version whose features it has.
        target: its folder.
    """
    version = load_version(str(shipped), beside=shipped, models_dir=shipped)
    head = find_head(version.file, _OUTPUT)
    seen = list(training_messages(1, _SEED))
    with tempfile.TemporaryDirectory() as folder:
        exposed = Path(folder) / "features.onnx"
        expose(version.file, head, exposed)
        with Runner(version, threads=1, tensors=[head.features], file=exposed) as runner:
            texts = [Text(message.text) for message in seen]
            features = runner.run(texts, [head.features])[head.features]
    order = [[message.label for message in seen].index(label) for label in labels()]
    weights = np.ascontiguousarray(features[order])
    bias = (-0.5 * (weights**2).sum(axis=1)).astype(np.float32)
    target.mkdir(parents=True)
    with_head(version.file, head, [(weights, bias)], target / version.file.name)
    manifest = yaml.safe_load((shipped / MANIFEST).read_text(encoding="utf-8"))
    for gone in ("files", "metrics"):
        manifest.pop(gone, None)
    manifest["lineage"] = {"parent": None, "seed": _SEED, "script": "streamer.demo.loop.beginner"}
    shutil.copyfile(shipped / "tokenizer.json", target / "tokenizer.json")
    text = yaml.safe_dump(manifest, sort_keys=False)
    (target / MANIFEST).write_text(text, encoding="utf-8")

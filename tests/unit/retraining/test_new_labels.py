"""Labels that arrive later, on real messages: learnt, and the old ones are kept."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import yaml
from support import lessons

import streamer
from streamer.graphs.head import find_head
from streamer.graphs.headed import with_head
from streamer.models.version import load_version
from streamer.records import Text
from streamer.retraining.config import Gate, Strategy
from streamer.retraining.gate import judge
from streamer.retraining.learner import Learner
from streamer.retraining.trial import tried

# With 40 records a label's recall moves by 15 points by chance alone; all old ones together count.
GATE = Gate(max_latency_ratio=1e9, max_size_ratio=10, margin=0.02, per_class_margin=0.15)


def untaught(folder: Path, labels):
    """The demo's embedder with a head that knows nothing."""
    own = Path(streamer.__file__).parent / "demo" / "models" / "intents" / "1"
    version = load_version(str(own), beside=own, models_dir=own)
    folder.mkdir()
    head = find_head(version.file, "logits")
    width = head.weights.shape[1]
    nothing = [(np.zeros((len(labels), width)), np.zeros(len(labels)))]
    with_head(version.file, head, nothing, folder / "model.onnx")
    (folder / "tokenizer.json").write_bytes((own / "tokenizer.json").read_bytes())
    told = yaml.safe_load((own / "model.yaml").read_text())
    for gone in ("files", "metrics", "lineage"):
        told.pop(gone)
    told["id2label"] = dict(enumerate(labels))
    (folder / "model.yaml").write_text(yaml.safe_dump(told))
    return load_version(str(folder), beside=folder, models_dir=folder)


def messages(file: Path, labels, each: int):
    found = defaultdict(list)
    for line in file.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        if one["label"] in labels and len(found[one["label"]]) < each:
            found[one["label"]].append((Text(one["text"]), one["label"]))
    return [told for label in labels for told in found[label]]


@pytest.mark.long
@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_of_ten_labels_little_is_lost_when_two_new_ones_are_learnt(assets, tmp_path, head):
    files = {side: assets / f"data/text/banking77_{side}.jsonl" for side in ("train", "test")}
    with files["test"].open(encoding="utf-8") as stream:
        labels = sorted({json.loads(line)["label"] for line in stream})[::6][:12]
    old, new = labels[:10], labels[10:]
    strategy = Strategy(kind="head", head=head, hidden=64)

    def lesson(known, seen):
        every = messages(files["train"], seen, 60)
        chosen = [one for at, one in enumerate(every) if at % 8 == 0]
        rest = [one for at, one in enumerate(every) if at % 8]
        return lessons.lesson(rest, chosen, messages(files["test"], seen, 40), known)

    def learn(lesson, champion, folder):
        challenger = Learner(strategy, 1).learn(lesson, champion, folder, lambda: None)
        part = lesson.sides["test"]
        trial = tried(champion, challenger.version, part, GATE, threads=1, beside=folder)
        return challenger.version, judge(trial.compared, GATE, 1)

    first, verdict = learn(lesson(old, old), untaught(tmp_path / "m", old), tmp_path / "first")
    assert verdict.figures["challenger"] > 0.85, verdict
    grown, verdict = learn(lesson(old, labels), first, tmp_path / "grown")
    assert verdict.decision == "promote", verdict
    assert list(grown.manifest.id2label.values()) == [*old, *new]
    kept = verdict.figures["old_classes"]
    assert kept["examples"] == 400
    assert kept["challenger"] > kept["champion"] - 0.02
    for label in new:
        assert verdict.figures["classes"][label]["challenger"] > 0.7

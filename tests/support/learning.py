"""A classifier that knows half of its words, messages that it can learn from, and the sidecar."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from support.daemon import SESSION_S, environment_of
from support.topics import Sent, Topics

LABELS = ("invoice", "parcel", "refund", "login")
NEW_LABELS = ("tent", "kayak")
_WORDS_EACH = 12
_FILLERS = tuple(f"and{number}" for number in range(60))


def words_of(label: str) -> list[str]:
    """The words that a message of a label has."""
    return [f"{label}{number}" for number in range(_WORDS_EACH)]


VOCABULARY = ("[UNK]", *_FILLERS, *(w for one in (*LABELS, *NEW_LABELS) for w in words_of(one)))


def message(label: str, draw: random.Random) -> str:
    """Two words of a label among eight that say nothing."""
    words = [*draw.choices(words_of(label), k=2), *draw.choices(_FILLERS, k=8)]
    draw.shuffle(words)
    return " ".join(words)


def model(models: Path, name: str, number: str = "1", known: float = 0.4) -> Path:
    """Write `models/NAME/NUMBER`: a head on counts of words that knows a share of each label's."""
    weights = np.zeros((len(LABELS), len(VOCABULARY)), np.float32)
    for row, label in enumerate(LABELS):
        for word in words_of(label)[: int(_WORDS_EACH * known)]:
            weights[row, VOCABULARY.index(word)] = 8.0
    return write(models / name / number, weights, {"name": name, "version": number})


def write(folder: Path, weights: NDArray[np.float32], told: Mapping[str, Any]) -> Path:
    """Write a version with these weights of its head."""
    folder.mkdir(parents=True)
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["rows"]),
        helper.make_node("ReduceMean", ["rows"], ["features"], axes=[1], keepdims=0),
        helper.make_node("Gemm", ["features", "W", "b"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "words",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["N", "L"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", len(weights)])],
        [
            numpy_helper.from_array(np.eye(len(VOCABULARY), dtype=np.float32), "words"),
            numpy_helper.from_array(weights, "W"),
            numpy_helper.from_array(np.zeros(len(weights), np.float32), "b"),
        ],
    )
    made = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(made, folder / "model.onnx")
    tokenizer = Tokenizer(
        WordLevel({word: at for at, word in enumerate(VOCABULARY)}, unk_token="[UNK]")  # noqa: S106
    )
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    text = {
        "kind": "text",
        "tokenizer": "tokenizer.json",
        "max_length": 32,
        "tensors": {"input_ids": "ids"},
    }
    manifest = {
        **told,
        "task": "text-classification",
        "id2label": dict(enumerate(LABELS)),
        "inputs": {"text": text},
        "outputs": {"logits": {"decode": "logits"}},
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))
    return folder


def label_of(source: Mapping[str, Any], label: str, **more: Any) -> Sent:
    """A label of the record that a prediction names as its source."""
    key = f"{source['topic']}/{source['partition']}/{source['offset']}"
    content = {"ref": dict(source), "label": label, **more}
    return Sent(json.dumps(content).encode(), key.encode())


class SidecarProcess:
    """One `streamer retrain` and its log."""

    def __init__(
        self,
        file: Path,
        environment: Mapping[str, str],
        brokers: str,
        arguments: Sequence[str],
        more: Mapping[str, str] | None = None,
    ) -> None:
        given = {
            "KAFKA__BOOTSTRAP_SERVERS": brokers,
            "KAFKA__SESSION_TIMEOUT": f"{SESSION_S}s",
            "KAFKA__HEARTBEAT_INTERVAL": "1s",
            "HTTP__HOST": "127.0.0.1",
            "HTTP__PORT": "0",
            "LOG__FORMAT": "json",
            **environment,
        }
        module = "support.killing" if more else "streamer"
        self._out = file.parent / f"retrain-{time.monotonic_ns()}.log"
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", module, "retrain", str(file), *arguments],
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment_of(
                    {**{f"STREAMER_{name}": value for name, value in given.items()}, **(more or {})}
                ),
                cwd=file.parent,
            )

    @property
    def text(self) -> str:
        """All that it has written."""
        return self._out.read_text(encoding="utf-8", errors="replace")

    def said(self, message: str) -> list[dict[str, Any]]:
        """Give the log lines with this message."""
        lines = [one for one in self.text.splitlines(keepends=True) if one.endswith("\n")]
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in found if line["message"] == message]

    def alive(self) -> None:
        """Fail, showing its log, if it has ended."""
        code = self.process.poll()
        assert code is None, f"the sidecar has ended with {code}:\n{self.text[-4000:]}"

    def kill(self) -> None:
        """Send SIGKILL and wait."""
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> int:
        """Send SIGTERM, wait, give the exit code."""
        self.process.terminate()
        return self.process.wait(60)


def answered(topics: Topics, topic: str, count: int) -> list[dict[str, Any]]:
    """Read predictions: source, best label and version of each."""
    found = []
    for got in topics.read(topic, count):
        [step] = got.json["predictions"].values()
        best = step["output"][0]["label"]
        found.append({"source": got.json["source"], "label": best, "version": step["version"]})
    return found

"""Real models as versions: files, the manifests in `manifests/`, and what was noted of them."""

import hashlib
import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import yaml

from streamer.errors import RecordError
from streamer.infer import Session, Tuning, check_fit, open_session
from streamer.models import Version, load_version
from streamer.postprocess import Interpreter, interpreter_for
from streamer.preprocess import Preprocessor, preprocessor_for
from streamer.records import Image, Sample

MANIFESTS = Path(__file__).parent / "manifests"
_FILES = ("model.onnx", "model.pt", "model.pb", "saved_model.pb", "tokenizer.json")


class RealModel(NamedTuple):
    version: Version
    session: Session
    preprocessor: Preprocessor
    interpreter: Interpreter
    expected: dict[str, Any]

    def answers(self, samples: list[Sample], batch: int | None = None) -> list[Any]:
        """Take samples all the way, in batches of at most so many parts; shapes are not mixed."""
        prepared = self.preprocessor.prepare(samples)
        assert not any(isinstance(parts, RecordError) for parts in prepared)
        flat = [part for parts in prepared for part in parts]
        results: list[Any] = [None] * len(flat)
        groups: dict[Any, list[int]] = {}
        for index, part in enumerate(flat):
            groups.setdefault(part.group, []).append(index)
        for indices in groups.values():
            size = batch or len(indices)
            for at in range(0, len(indices), size):
                taken = indices[at : at + size]
                inputs = [flat[index] for index in taken]
                outputs = self.session.run(self.preprocessor.collate(inputs))
                said = self.interpreter.interpret(outputs, inputs)
                for index, one in zip(taken, said, strict=True):
                    results[index] = one
        ends = np.cumsum([0, *(len(parts) for parts in prepared)])
        return [self.interpreter.combine(results[begin:end]) for begin, end in pairwise(ends)]


def opened(name: str, assets: Path, models: Path, **tuning: Any) -> RealModel:
    """Make a version directory of a model and open it."""
    (source,) = assets.glob(f"*/{name}")
    folder = models / "-".join([name, *map(str, tuning.values())])
    folder.mkdir()
    manifest = yaml.safe_load((MANIFESTS / f"{name}.yaml").read_text())
    manifest["files"] = {}
    place = source / "saved_model" if (source / "saved_model").is_dir() else source
    for file in _FILES:
        if (place / file).is_file():
            shutil.copyfile(place / file, folder / file)
            digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
            manifest["files"][file] = f"sha256:{digest}"
    if (place / "variables").is_dir():
        shutil.copytree(place / "variables", folder / "variables")
    labels = _labels(name, source, assets)
    if labels is not None:
        manifest["id2label"] = labels
    (folder / "model.yaml").write_text(yaml.safe_dump(manifest))
    version = load_version(folder.name, beside=models, models_dir=models)
    session = open_session(version, device="cpu", tuning=Tuning(**tuning))
    check_fit(version, session)
    return RealModel(
        version,
        session,
        preprocessor_for(session.manifest, folder),
        interpreter_for(version.manifest, version.manifest.task),
        json.loads((source / "expected.json").read_text()),
    )


def picture(file: Path) -> Image:
    pixels = cv2.imread(str(file))
    assert pixels is not None
    return Image(pixels)


def lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


def _labels(name: str, source: Path, assets: Path) -> list[str] | None:
    if name.startswith("mobilenet"):
        return lines(assets / "image-classification" / "imagenet_labels_1001.txt")
    if name == "yolox_nano_coco_dyn":
        return lines(assets / "object-detection" / "coco80_labels.txt")
    if source.parent.name == "text-classification" and (source / "config.json").is_file():
        labels: list[str] = json.loads((source / "config.json").read_text())["id2label"]
        return labels
    return None


def check_classifier(built: RealModel, assets: Path) -> None:
    """Compare with the five best labels and scores that were noted, together and one by one."""
    examples = built.expected["examples"]
    pictures: list[Sample] = [picture(assets / example["file"]) for example in examples]
    for batch in (None, 1):
        for example, answer in zip(examples, built.answers(pictures, batch), strict=True):
            noted = example["top5"]
            assert [entry["label"] for entry in answer] == [label for _, label, _ in noted]
            for entry, (_, _, score) in zip(answer, noted, strict=True):
                assert abs(entry["score"] - score) < 1e-4

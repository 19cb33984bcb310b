"""Pictures: kinds of flowers, handwritten digits, blood cells."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from sklearn.metrics import accuracy_score
from sklearn.model_selection import RepeatedStratifiedKFold

from benchmarks import lessons, references
from benchmarks.judging import REPEATS, Row, epochs_of, features, folds, judged, learnt, row
from streamer.graphs.head import find_head
from streamer.models import Version
from streamer.preprocess import preprocessor_for
from streamer.retraining.config import Strategy, Training
from streamer.retraining.learner import Learner
from streamer.retraining.tuning.batches import in_input
from streamer.retraining.tuning.nets import built
from streamer.retraining.tuning.targets import cells, loss

_CELL_SIDE = 128
_CELL_TRAINING = Training(epochs=25, patience=25, batch_size=4, learning_rate=2e-3)
_DIGITS, _HELD_OUT = 1200, 2000
_KNOWN_EPOCHS = 6
_MORE_DIGITS = 400
_DIGITS_TRAINING = Training(batch_size=32, flips=False)
_TEN = "0123456789"
_PICTURES = {"model_type": "streamer", "network": "pictures"}


def flowers_head(assets: Path, folder: Path) -> list[Row]:
    """Flowers by a head on a MobileNet that saw ImageNet: 99 pictures, so repeated folds."""
    told = lessons.flowers(assets / "data/images")
    labels = sorted({label for _, label in told})
    image = {
        "kind": "image",
        "size": {"shortest_edge": 182},
        "do_center_crop": True,
        "crop_size": {"height": 160, "width": 160},
        "resample": "opencv-area",
        "image_mean": [128.0] * 3,
        "image_std": [128.0] * 3,
    }
    backbone = lessons.described(
        assets / "image-classification/mobilenet_v1_050_160_f32_nchw/model.onnx",
        folder / "mobilenet",
        {
            "name": "flowers",
            "version": "1",
            "task": "image-classification",
            "id2label": dict(enumerate(str(at) for at in range(1001))),
            "inputs": {"pixel_values": image},
            "outputs": {"logits": {"decode": "logits"}},
        },
    )
    champion = lessons.with_labels(backbone, folder / "flowers", labels)
    head = find_head(champion.file, "logits")
    known = features(champion, [sample for sample, _ in told], head, folder)
    truths = np.array([label for _, label in told])
    ours: dict[str, list[float]] = {"linear": [], "mlp": []}
    plain = []
    splits = RepeatedStratifiedKFold(n_splits=5, n_repeats=REPEATS, random_state=0)
    learners = {k: Learner(Strategy(kind="head", head=k, hidden=64), 1) for k in ours}
    for fold, (train, test) in enumerate(splits.split(known, truths)):
        answer = references.logistic(known[train], truths[train].tolist(), known[test])
        plain.append(float(accuracy_score(truths[test], answer)))
        lesson = lessons.lesson([told[i] for i in train], [told[i] for i in test], labels)
        for kind, learner in learners.items():
            place = folder / f"flowers-{kind}-{fold}"
            challenger = learner.learn(lesson, champion, place, lambda: None)
            ours[kind].append(judged(challenger.version, lesson))
    what = "accuracy, flowers, 5 kinds"
    return [
        folds(f"head: {kind}", what, len(told), found, plain, "LogisticRegression")
        for kind, found in ours.items()
    ]


def digits_scratch(assets: Path, folder: Path) -> list[Row]:
    """Handwritten digits by the project's small network, from random weights."""
    told = lessons.digits(assets / "data/mnist")
    train, test = told[:_DIGITS], told[-_HELD_OUT:]
    network = _digits_network()
    return [_digits_row("from-scratch", network, folder, (train, test), "")]


def digits_finetune(assets: Path, folder: Path) -> list[Row]:
    """Handwritten digits by a network that has seen the lower five only."""
    told = lessons.digits(assets / "data/mnist")
    train, test = told[:_MORE_DIGITS], told[-_HELD_OUT:]
    network = _digits_network()
    lower = [one for one in told[_DIGITS : 2 * _DIGITS] if one[1] < "5"]
    _digits_loop(network, lower, _KNOWN_EPOCHS)
    before = _digits_right(network, test)
    note = f", 0 to 4 known (before: {before:.3f})"
    return [_digits_row("finetune", network, folder, (train, test), note)]


def _digits_row(
    kind: Literal["finetune", "from-scratch"],
    network: Any,
    folder: Path,
    told: tuple[Sequence[lessons.Told], Sequence[lessons.Told]],
    note: str,
) -> Row:
    """Teach the project and a plain loop digits: `told` are those to learn from, those to try."""
    train, test = told
    champion = _digits_version(folder / "digits", network)
    lesson = lessons.lesson(train, test, list(_TEN))
    strategy = Strategy(kind=kind, training=_DIGITS_TRAINING)
    ours = learnt(lesson, champion, folder / "new", strategy)
    epochs = epochs_of(lesson, _DIGITS_TRAINING)
    _digits_loop(network, train, epochs)
    what = f"accuracy, handwritten digits, {epochs} epochs{note}"
    return row(kind, what, lesson, ours, _digits_right(network, test), "Torch loop")


def _digits_network() -> Any:
    torch.manual_seed(0)
    return built(_PICTURES, len(_TEN))


def _digits_version(folder: Path, network: Any) -> Version:
    side = {"height": 28, "width": 28}
    told = {
        "name": "digits",
        "version": "1",
        "task": "image-classification",
        "id2label": dict(enumerate(_TEN)),
        "inputs": {"pixels": {"kind": "image", "size": side, "rescale_factor": 1 / 255}},
        "outputs": {"logits": {"decode": "logits"}},
    }
    tensors = ({"pixels": (None, 3, 28, 28)}, {"logits": (None, None)})
    return lessons.carrying(folder, network, _PICTURES, tensors, told, own=True)


def _digits_tensors(told: Sequence[lessons.Told]) -> tuple[Any, Any]:
    pixels = [torch.from_numpy(sample.pixels).permute(2, 0, 1) / 255 for sample, _ in told]
    return torch.stack(pixels), torch.tensor([int(label) for _, label in told])


def _digits_loop(network: Any, told: Sequence[lessons.Told], epochs: int) -> None:
    pixels, right = _digits_tensors(told)

    def step(places: Sequence[int]) -> Any:
        return torch.nn.functional.cross_entropy(network(pixels[places]), right[places])

    references.looped(network, step, len(told), epochs=epochs, size=32, rate=1e-3, seed=0)


def _digits_right(network: Any, told: Sequence[lessons.Told]) -> float:
    pixels, right = _digits_tensors(told)
    with torch.no_grad():
        found = torch.cat([network(part) for part in pixels.split(200)]).argmax(1)
    return float((found == right).float().mean())


def cells_boxes(assets: Path, folder: Path) -> list[Row]:
    """Blood cells by the project's detector: 40 pictures, so repeated folds."""
    told = lessons.cells(assets / "data/detection/bccd_40")
    labels = ["Platelets", "RBC", "WBC"]
    torch.manual_seed(0)
    config = {"model_type": "streamer", "network": "boxes"}
    side = {"height": _CELL_SIDE, "width": _CELL_SIDE}
    champion = lessons.carrying(
        folder / "cells",
        built(config, 3),
        config,
        ({"images": (None, 3, _CELL_SIDE, _CELL_SIDE)}, {"output": (None, None, None)}),
        {
            "name": "cells",
            "version": "1",
            "task": "object-detection",
            "id2label": dict(enumerate(labels)),
            "inputs": {
                "images": {"kind": "image", "channels": "BGR", "size": side, "resize": "letterbox"}
            },
            "outputs": {"output": {"decode": "yolox", "strides": [8, 16, 32]}},
            "postprocess": {"nms": {"iou": 0.5}},
        },
        own=True,
    )
    strategy = Strategy(kind="from-scratch", training=_CELL_TRAINING)
    prepare = preprocessor_for(champion.manifest, champion.folder)
    inputs = [
        parts[0] for parts in prepare.prepare([s for s, _ in told]) if isinstance(parts, list)
    ]
    pixels = torch.from_numpy(prepare.collate(inputs)["images"]).float()
    places = {label: at for at, label in enumerate(labels)}
    boxes = [
        torch.from_numpy(in_input(answer, one.context, places))
        for (_, answer), one in zip(told, inputs, strict=True)
    ]
    grid = cells(_CELL_SIDE, _CELL_SIDE, (8, 16, 32))
    kinds = [int(any(one["label"] == "Platelets" for one in answer)) for _, answer in told]
    ours, plain = [], []
    splits = RepeatedStratifiedKFold(n_splits=2, n_repeats=REPEATS, random_state=0)
    for fold, (train, test) in enumerate(splits.split(kinds, kinds)):
        lesson = lessons.lesson([told[i] for i in train], [told[i] for i in test], labels, "boxes")
        ours.append(learnt(lesson, champion, folder / f"cells-{fold}", strategy))
        torch.manual_seed(0)
        network = built(config, 3)

        def step(at: Sequence[int], network: Any = network, train: Any = train) -> Any:
            some = [int(train[one]) for one in at]
            return loss(network.detector(pixels[some]), [boxes[one] for one in some], grid)

        epochs = epochs_of(lesson, _CELL_TRAINING)
        references.looped(network, step, len(train), epochs=epochs, size=4, rate=2e-3, seed=0)
        place = folder / f"cells-plain-{fold}"
        exported = lessons.carrying(
            place,
            network,
            config,
            ({"images": (None, 3, _CELL_SIDE, _CELL_SIDE)}, {"output": (None, None, None)}),
            json.loads(champion.manifest.model_dump_json(exclude_defaults=True)),
            own=True,
        )
        plain.append(judged(exported, lesson))
    what = f"mAP@0.5, blood cells, {epochs} epochs"
    return [folds("from-scratch", what, len(told), ours, plain, "Torch loop")]

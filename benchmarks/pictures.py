"""Pictures: kinds of flowers, handwritten digits, blood cells."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import accuracy_score
from sklearn.model_selection import RepeatedStratifiedKFold

from benchmarks import lessons, references
from benchmarks.judging import REPEATS, Row, features, folds, judged, learnt, row
from streamer.graphs.head import find_head
from streamer.preprocess import preprocessor_for
from streamer.retraining.config import Strategy, Training
from streamer.retraining.learner import Learner
from streamer.retraining.tuning.batches import in_input
from streamer.retraining.tuning.nets import built
from streamer.retraining.tuning.targets import cells, loss

_CELL_SIDE = 128
_CELL_EPOCHS = 25
_DIGITS, _HELD_OUT, _EPOCHS = 1200, 2000, 6


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


def digits_finetune(assets: Path, folder: Path) -> list[Row]:
    """Handwritten digits by the project's small network: learnt from scratch, then on."""
    told = lessons.digits(assets / "data/mnist")
    train, test = told[:_DIGITS], told[-_HELD_OUT:]
    labels = [str(at) for at in range(10)]
    lesson = lessons.lesson(train, test, labels)
    torch.manual_seed(0)
    side = {"height": 28, "width": 28}
    config = {"model_type": "streamer", "network": "pictures"}
    champion = lessons.carrying(
        folder / "digits",
        built(config, 10),
        config,
        ({"pixels": (None, 3, 28, 28)}, {"logits": (None, None)}),
        {
            "name": "digits",
            "version": "1",
            "task": "image-classification",
            "id2label": dict(enumerate(labels)),
            "inputs": {"pixels": {"kind": "image", "size": side, "rescale_factor": 1 / 255}},
            "outputs": {"logits": {"decode": "logits"}},
        },
        own=True,
    )
    training = Training(epochs=_EPOCHS, batch_size=32, flips=False)
    ours = {
        kind: learnt(lesson, champion, folder / kind, Strategy(kind=kind, training=training))
        for kind in ("from-scratch", "finetune")
    }
    pixels = torch.stack(
        [torch.from_numpy(sample.pixels).permute(2, 0, 1) / 255 for sample, _ in told]
    )
    right = torch.tensor([int(label) for _, label in told])
    torch.manual_seed(0)
    network = built(config, 10)

    def step(places: Sequence[int]) -> Any:
        return torch.nn.functional.cross_entropy(network(pixels[places]), right[places])

    references.looped(network, step, _DIGITS, epochs=_EPOCHS, size=32, rate=1e-3, seed=0)
    with torch.no_grad():
        found = torch.cat([network(part) for part in pixels[-_HELD_OUT:].split(200)]).argmax(1)
    reference = float((found == right[-_HELD_OUT:]).float().mean())
    what = "accuracy, handwritten digits"
    return [row(k, what, lesson, value, reference, "Torch loop") for k, value in ours.items()]


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
    strategy = Strategy(
        kind="from-scratch",
        training=Training(
            epochs=_CELL_EPOCHS, batch_size=4, patience=_CELL_EPOCHS, learning_rate=2e-3
        ),
    )
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

        references.looped(network, step, len(train), epochs=_CELL_EPOCHS, size=4, rate=2e-3, seed=0)
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
    what = "mAP@0.5, blood cells"
    return [folds("from-scratch", what, len(told), ours, plain, "Torch loop")]

"""Train the detector of road signs: `python -m streamer.demo.training.signs`.

Makes 5,000 scenes of the training world, trains for 2,000 steps of 16, evaluates on 1,000 scenes of
the held-out world, and writes `streamer/demo/models/signs/1`. About 30 minutes of one core, twice
that where the machine is shared, and 4 GB. The same seed, library versions and number of threads
give the same model.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from streamer.demo.scenes import LABELS, SIZE
from streamer.demo.training.detections import decoded, mean_average_precision
from streamer.demo.training.export import MODELS, write_manifest, write_onnx
from streamer.demo.training.learning import Averaged, optimiser, rate, seeded, shuffled
from streamer.demo.training.worlds import Boxes, Image, scenes
from streamer.retraining.tuning.nets import Detector, Exported
from streamer.retraining.tuning.targets import cells, loss

SEED = 0
SIDE = 320
PADDING = 114
BINS = {"16_32": (0.0, 32.0), "32_64": (32.0, 64.0), "64_up": (64.0, np.inf)}

_SCENES = 5000
_HELD_OUT = 1000
_STEPS = 2000
_BATCH = 16
_PEAK = 2e-3


def moved(rng: np.random.Generator, image: Image, boxes: Boxes) -> tuple[Image, Boxes]:
    """Zoom and shift a scene, the rest padded as letterboxing pads; signs cut in half go."""
    zoom = rng.uniform(0.92, 1.25)
    width, height = SIZE
    shift = rng.uniform(0, 1, 2) * (width - width * zoom, height - height * zoom)
    shift += rng.uniform(-0.1, 0.1, 2) * SIZE * (rng.random() < 0.3)
    matrix = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]])
    border = (PADDING, PADDING, PADDING)
    image = cv2.warpAffine(image, matrix, SIZE, borderValue=border).astype(np.uint8, copy=False)
    whole = boxes.copy()
    whole[:, :4] = boxes[:, :4] * zoom + np.tile(shift, 2)
    seen = whole.copy()
    seen[:, 0:4:2] = np.clip(whole[:, 0:4:2], 0, width)
    seen[:, 1:4:2] = np.clip(whole[:, 1:4:2], 0, height)
    part = (seen[:, 2:4] - seen[:, :2]).prod(1) / (whole[:, 2:4] - whole[:, :2]).prod(1)
    return image, seen[part > 0.5]


def trained(images: Image, boxes: list[Boxes], steps: int, checkpoint: Path | None) -> Detector:
    """Train, and give the averaged network."""
    network = Detector(len(LABELS)).to(memory_format=torch.channels_last)
    averaged, learner = Averaged(network), optimiser(network, _PEAK)
    grid = cells(SIZE[1], SIZE[0], Detector.strides)
    rng, began, losses = np.random.default_rng(SEED), time.monotonic(), [0.0]
    network.train()
    for step, chosen in enumerate(shuffled(rng, len(images), _BATCH, steps)):
        pairs = [moved(rng, images[i], boxes[i]) for i in chosen]
        batch = torch.from_numpy(np.stack([image for image, _ in pairs])).permute(0, 3, 1, 2)
        signs = [torch.from_numpy(rows) for _, rows in pairs]
        for group in learner.param_groups:
            group["lr"] = rate(step, steps, _PEAK)
        wrong = loss(network(batch.float()), signs, grid)
        learner.zero_grad(set_to_none=True)
        wrong.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        learner.step()
        averaged.update(network)
        losses.append(wrong.item())
        if step % 50 == 49:
            minutes = (time.monotonic() - began) / 60
            print(f"{step + 1} {np.mean(losses[-50:]):.3f} {minutes:.1f} min", flush=True)
        if checkpoint is not None and step % 200 == 199:
            torch.save(averaged.network.state_dict(), checkpoint)
    return averaged.network


def detect(path: Path, images: Image) -> list[NDArray[np.float32]]:
    """Run the exported detector as it is served: letterboxed to the top left, in batches of 8."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = []
    for start in range(0, len(images), 8):
        some = images[start : start + 8]
        inputs = np.full((len(some), SIDE, SIDE, 3), PADDING, np.float32)
        inputs[:, : SIZE[1], : SIZE[0]] = some
        (answers,) = session.run(None, {"images": inputs.transpose(0, 3, 1, 2).copy()})
        found += [decoded(answer, SIDE, Detector.strides) for answer in answers]
    return found


def measured(path: Path, images: Image, boxes: list[Boxes]) -> dict[str, float]:
    """Give mAP at IoU 0.5, of all signs and by the longer edge in pixels."""
    found = detect(path, images)
    figures = {"map50": mean_average_precision(found, boxes, len(LABELS))}
    for name, sizes in BINS.items():
        figures[f"map50_{name}"] = mean_average_precision(found, boxes, len(LABELS), sizes)
    return {name: round(value, 4) for name, value in figures.items()}


def manifest(metrics: dict[str, Any]) -> dict[str, Any]:
    """Give what `model.yaml` says."""
    return {
        "name": "signs",
        "version": "1",
        "task": "object-detection",
        "description": "Road signs in street scenes; trained on composed scenes only.",
        "license": "Apache-2.0",
        "id2label": dict(enumerate(LABELS)),
        "inputs": {
            "images": {
                "kind": "image", "layout": "NCHW", "channels": "BGR", "dtype": "float32",
                "size": {"height": SIDE, "width": SIDE}, "resize": "letterbox",
                "resample": "opencv-linear", "pad": "top-left", "pad_value": PADDING,
                "rescale_factor": 1.0, "image_mean": [0, 0, 0], "image_std": [1, 1, 1],
            }
        },
        "outputs": {"output": {"decode": "yolox", "strides": list(Detector.strides)}},
        "postprocess": {"threshold": 0.4, "nms": {"iou": 0.5, "per_class": True}},
        "metrics": metrics,
        "lineage": {"parent": None, "seed": SEED, "script": "streamer.demo.training.signs"},
    }  # fmt: skip


def main() -> None:
    """Train, export, evaluate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=MODELS / "signs" / "1")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=_STEPS)
    parser.add_argument("--scenes", type=int, default=_SCENES)
    parser.add_argument("--checkpoint", type=Path)
    chosen = parser.parse_args()
    seeded(SEED, chosen.threads)
    images, boxes = scenes("train", chosen.scenes, SEED)
    held_out = scenes("held-out", _HELD_OUT, SEED)
    print(f"{len(images)} scenes, {sum(map(len, boxes))} signs", flush=True)
    detector = trained(images, boxes, chosen.steps, chosen.checkpoint)
    path = chosen.out / "model.onnx"
    write_onnx(Exported(detector), path, (3, SIDE, SIDE), ("images", "output"), 255.0)
    metrics: dict[str, Any] = measured(path, *held_out)
    metrics |= {"scenes": _HELD_OUT, "signs": sum(map(len, held_out[1]))}
    print(metrics)
    write_manifest(chosen.out, manifest(metrics))


if __name__ == "__main__":
    main()

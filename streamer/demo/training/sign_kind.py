"""Train the classifier of sign kinds: `python -m streamer.demo.training.sign_kind`.

Cuts the signs out of 5,000 scenes of the training world, trains for 1,000 steps of 64, evaluates on
the crops of 1,000 scenes of the held-out world, and writes `streamer/demo/models/sign-kind/1`.
About 6 minutes and 1.2 GB on two cores.
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
from torch.nn.functional import cross_entropy

from streamer.demo.scenes import KINDS
from streamer.demo.training.export import MODELS, write_manifest, write_onnx
from streamer.demo.training.learning import Averaged, optimiser, rate, seeded, shuffled
from streamer.demo.training.worlds import Image, crop_set
from streamer.retraining.tuning.nets import Classifier

SEED = 1
SIDE = 48
MEAN = 0.45
STD = 0.25
BINS = {"16_32": (0, 32), "32_64": (32, 64), "64_up": (64, 10_000)}

_SCENES = 5000
_HELD_OUT = 1000
_STEPS = 1000
_BATCH = 64
_PEAK = 3e-3


def moved(rng: np.random.Generator, image: Image) -> Image:
    """Turn, zoom and shift a crop a little; its light stays that of its world."""
    middle = (SIDE / 2, SIDE / 2)
    matrix = cv2.getRotationMatrix2D(middle, rng.uniform(-6, 6), rng.uniform(0.92, 1.1))
    matrix = matrix + np.pad(rng.uniform(-2, 2, (2, 1)), ((0, 0), (2, 0)))
    turned = cv2.warpAffine(image, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    return turned.astype(np.uint8, copy=False)


def normalised(images: Image) -> NDArray[np.float32]:
    """Give what the network takes of BGR crops: float32 [N, 3, SIDE, SIDE], RGB."""
    planes = images[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32)
    return np.ascontiguousarray((planes / 255 - MEAN) / STD, dtype=np.float32)


def trained(images: Image, kinds: NDArray[np.int64], steps: int) -> Classifier:
    """Train, and give the averaged network."""
    network = Classifier(len(KINDS)).to(memory_format=torch.channels_last)
    averaged, learner = Averaged(network), optimiser(network, _PEAK)
    rng, began, losses = np.random.default_rng(SEED), time.monotonic(), [0.0]
    network.train()
    for step, chosen in enumerate(shuffled(rng, len(images), _BATCH, steps)):
        batch = normalised(np.stack([moved(rng, images[i]) for i in chosen]))
        inputs = torch.from_numpy(batch).contiguous(memory_format=torch.channels_last)
        for group in learner.param_groups:
            group["lr"] = rate(step, steps, _PEAK)
        wanted = torch.from_numpy(kinds[chosen])
        wrong = cross_entropy(network(inputs), wanted, label_smoothing=0.02)
        learner.zero_grad(set_to_none=True)
        wrong.backward()
        learner.step()
        averaged.update(network)
        losses.append(wrong.item())
        if step % 200 == 199:
            minutes = (time.monotonic() - began) / 60
            print(f"{step + 1} {np.mean(losses[-200:]):.4f} {minutes:.1f} min", flush=True)
    return averaged.network


def measured(
    path: Path, images: Image, kinds: NDArray[np.int64], edges: NDArray[np.int64]
) -> dict[str, float]:
    """Give the accuracy on crops, of all and by the crop's longer edge in pixels."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"image": normalised(images)})
    right = logits.argmax(1) == kinds
    figures = {"accuracy": float(right.mean())}
    for name, (low, high) in BINS.items():
        figures[f"accuracy_{name}"] = float(right[(edges >= low) & (edges < high)].mean())
    figures["accuracy_worst_kind"] = min(
        float(right[kinds == kind].mean()) for kind in range(len(KINDS))
    )
    return {name: round(value, 4) for name, value in figures.items()}


def manifest(metrics: dict[str, Any]) -> dict[str, Any]:
    """Give what `model.yaml` says."""
    return {
        "name": "sign-kind",
        "version": "1",
        "task": "image-classification",
        "description": "Kinds of road signs, on crops; trained on composed scenes only.",
        "license": "Apache-2.0",
        "id2label": dict(enumerate(KINDS)),
        "problem_type": "single_label_classification",
        "inputs": {
            "image": {
                "kind": "image", "layout": "NCHW", "channels": "RGB", "dtype": "float32",
                "size": {"height": SIDE, "width": SIDE}, "resize": "stretch",
                "resample": "opencv-linear", "rescale_factor": 1 / 255,
                "image_mean": [MEAN] * 3, "image_std": [STD] * 3,
            }
        },
        "outputs": {"logits": {"decode": "logits"}},
        "postprocess": {"function_to_apply": "softmax"},
        "metrics": metrics,
        "lineage": {"parent": None, "seed": SEED, "script": "streamer.demo.training.sign_kind"},
    }  # fmt: skip


def main() -> None:
    """Train, export, evaluate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=MODELS / "sign-kind" / "1")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=_STEPS)
    parser.add_argument("--scenes", type=int, default=_SCENES)
    chosen = parser.parse_args()
    seeded(SEED, chosen.threads)
    images, kinds, _ = crop_set("train", chosen.scenes, SEED, SIDE)
    held_out = crop_set("held-out", _HELD_OUT, SEED, SIDE)
    print(f"{len(images)} crops", flush=True)
    classifier = trained(images, kinds, chosen.steps)
    path = chosen.out / "model.onnx"
    write_onnx(classifier, path, (3, SIDE, SIDE), ("image", "logits"), 2.0)
    metrics: dict[str, Any] = measured(path, *held_out) | {"crops": len(held_out[0])}
    print(metrics)
    write_manifest(chosen.out, manifest(metrics))


if __name__ == "__main__":
    main()

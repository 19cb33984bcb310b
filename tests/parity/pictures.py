"""Real pictures for parity tests, and the way of one through streamer's rooms."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from streamer.config.topology import Images, Limits
from streamer.decode.picture import decode_image
from streamer.demo.scenes import scene
from streamer.errors import RecordError
from streamer.infer import Session, check_fit, open_session
from streamer.models import Version, load_version
from streamer.models.manifest import ImageInput
from streamer.postprocess import Interpreter, interpreter_for
from streamer.preprocess import Preprocessor, preprocessor_for
from streamer.records import ModelInput

# (width, height): larger and smaller than what models take, upright and lying, odd and even
SIZES = ((320, 256), (640, 420), (48, 40), (200, 333), (56, 90), (500, 300), (333, 221), (61, 45))


@cache
def jpegs() -> tuple[bytes, ...]:
    """Make pictures of the street as JPEG, one of each size."""
    made = []
    for number, (width, height) in enumerate(SIZES):
        size = max(width, 320), max(height, 256)
        pixels, _ = scene(np.random.default_rng(number), "train", size)
        if size != (width, height):
            pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        written, encoded = cv2.imencode(".jpg", pixels)
        assert written
        made.append(encoded.tobytes())
    return tuple(made)


def opened(value: bytes) -> Pillow.Image:
    """Decode as transformers' pipelines do."""
    return ImageOps.exif_transpose(Pillow.open(io.BytesIO(value))).convert("RGB")


@dataclass(frozen=True)
class Streamed:
    """A version of a model, loaded as streamer does it."""

    version: Version
    session: Session
    preprocessor: Preprocessor
    interpreter: Interpreter

    def inputs(self, values: Sequence[bytes]) -> list[ModelInput]:
        """Decode and prepare records."""
        samples = [decode_image(value, Images(), Limits()) for value in values]
        made = []
        for parts in self.preprocessor.prepare(samples):
            assert not isinstance(parts, RecordError), parts
            made += parts
        return made

    def answers(self, values: Sequence[bytes]) -> list[Any]:
        """Take records all the way, those of one shape in one batch."""
        inputs = self.inputs(values)
        answers: list[Any] = [None] * len(inputs)
        for batch in _grouped(inputs):
            chosen = [inputs[at] for at in batch]
            outputs = self.session.run(self.preprocessor.collate(chosen))
            for at, answer in zip(batch, self.interpreter.interpret(outputs, chosen), strict=True):
                answers[at] = self.interpreter.combine([answer])
        return answers

    def answer_to(self, pixels: np.ndarray, like: Sequence[bytes]) -> list[Any]:
        """Give the answers to a tensor that somebody else made of these pictures."""
        outputs = self.outputs_of(pixels)
        return self.interpreter.interpret(outputs, self.inputs(like))

    def outputs_of(self, pixels: np.ndarray) -> Mapping[str, Any]:
        """Run the model on a tensor that somebody else made."""
        (name,) = [
            name
            for name, given in self.version.manifest.inputs.items()
            if isinstance(given, ImageInput)
        ]
        feeds = {name: pixels}
        mask = self.version.manifest.inputs[name].mask  # type: ignore[union-attr]
        if mask is not None:
            feeds[mask] = np.ones((len(pixels), *pixels.shape[2:]), np.bool_)
        return self.session.run(feeds)

    def changed(self, **rules: Any) -> "Streamed":
        """Prepare pictures by other rules than the model's."""
        inputs = {
            name: given.model_copy(update=rules) if isinstance(given, ImageInput) else given
            for name, given in self.version.manifest.inputs.items()
        }
        manifest = self.version.manifest.model_copy(update={"inputs": inputs})
        made = preprocessor_for(manifest, self.version.folder)
        return Streamed(self.version, self.session, made, self.interpreter)

    def mistaken(self) -> dict[str, "Streamed"]:
        """Make the mistakes that a test must notice."""
        (given,) = [
            given
            for given in self.version.manifest.inputs.values()
            if isinstance(given, ImageInput)
        ]
        swapped = "RGB" if given.channels == "BGR" else "BGR"
        darker = tuple(
            value + 0.25 * std
            for value, std in zip(_three(given.image_mean), _three(given.image_std), strict=True)
        )
        return {
            f"{swapped} for {given.channels}": self.changed(channels=swapped),
            "another mean": self.changed(image_mean=darker),
            "another resize rule": self.changed(resample="opencv-nearest"),
        }


def streamed(
    folder: Path, task: str, *, threshold: float | None = None, top_k: int | None = None
) -> Streamed:
    """Load a model's folder."""
    version = load_version(str(folder), beside=folder, models_dir=folder, task=task)
    session = open_session(version, device="cpu")
    check_fit(version, session)
    return Streamed(
        version,
        session,
        preprocessor_for(version.manifest, version.folder),
        interpreter_for(version.manifest, task, threshold=threshold, top_k=top_k),
    )


def _three(values: Sequence[float]) -> Sequence[float]:
    return values if len(values) == 3 else list(values) * 3


def _grouped(inputs: Sequence[ModelInput]) -> Iterator[list[int]]:
    groups: dict[Any, list[int]] = {}
    for at, given in enumerate(inputs):
        groups.setdefault(given.group, []).append(at)
    yield from groups.values()

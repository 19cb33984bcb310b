"""The strategies `finetune`, `from-scratch` and `embedding`: of what is in `trainable/`."""

import json
import os
from collections.abc import Callable
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamer.errors import ConfigError, ModelError
from streamer.graphs import Exported, export
from streamer.graphs.samples import shapes_of
from streamer.models import Version
from streamer.retraining.challenger import TRAINABLE, Challenger, TooLittleError, successor
from streamer.retraining.config import Strategy
from streamer.retraining.examples import Side
from streamer.retraining.heads import enough
from streamer.retraining.lesson import Lesson
from streamer.retraining.losses import balanced
from streamer.retraining.place import Place
from streamer.retraining.truth import WEIGHABLE, Form, form_of
from streamer.retraining.tuning.batches import Examples
from streamer.retraining.tuning.loop import Checkpoints, Loop
from streamer.retraining.tuning.networks import OWN, Network, description, load_network
from streamer.retraining.tuning.objectives import objective_for

if TYPE_CHECKING:
    from collections.abc import Iterator

_RATES = {"finetune": 5e-5, "embedding": 2e-5, "from-scratch": 1e-3}
_OWN_RATE = 1e-3
_LEAST = 10
_SIDES: tuple[Side, ...] = ("train", "validation")
_FOLDER = "checkpoints"


class Tuning:
    """Learns a network's weights.

    Args:
        strategy: how.
        threads: CPU threads.
        gpu_memory: share of a GPU's memory that it may take.
        place: where runs are kept, if a killed one is to go on.
        tells: told the share that is learnt.
    """

    def __init__(
        self,
        strategy: Strategy,
        threads: int,
        gpu_memory: float,
        place: Place | None,
        tells: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._strategy = strategy
        self._threads = threads
        self._gpu_memory = gpu_memory
        self._place = place
        self._tells = tells

    def check(self, version: Version) -> str:
        """Say what is going to be learnt of a version.

        Raises:
            ConfigError: the strategy can't be had of it.
        """
        kind, manifest = self._strategy.kind, version.manifest
        try:
            config = description(version)
        except ConfigError as error:
            raise ConfigError(f"strategy.kind: {kind}: {error}") from error
        if version.file.suffix != ".onnx":
            raise ConfigError(f"strategy.kind: {kind}: {version.file} is no ONNX file")
        embeds = any(one.decode == "embedding" for one in manifest.outputs.values())
        if kind == "embedding" and not (embeds and manifest.task == "sentence-similarity"):
            raise ConfigError(
                "strategy.kind: embedding is for sentence-similarity by cosines; "
                f"{manifest.name} is for {manifest.task}: write finetune"
            )
        _require(own=config.get("model_type") == OWN)
        name = config.get("network") or (config.get("architectures") or ["?"])[0]
        layers = self._strategy.training.layers
        which = "all layers" if layers == "all" else f"the last {layers} layers"
        begins = "from random weights" if kind == "from-scratch" else f"{which}"
        return f"{name} of {TRAINABLE}/, {begins}, on {self._device()} in {self._precision()}"

    def learn(
        self, lesson: Lesson, champion: Version, folder: Path, check: Callable[[], None]
    ) -> Challenger:
        """Make a challenger; see `Learner.learn`."""
        kept = _Kept(self._place, self._name(lesson, champion))
        with _deterministic(self._strategy.seed, self._threads):
            network, told = self.trained(lesson, champion, check, kept)
            version, done = self._written(network, lesson, champion, folder)
        kept.forget()
        where = f"on {self._device()} in {self._precision()}"
        text = f"{self._strategy.kind} of {network.origin}, {len(told)} epochs {where}"
        return Challenger(version, done.difference, tuple(told), f"{text}, by {done.exporter}")

    def trained(
        self,
        lesson: Lesson,
        champion: Version,
        check: Callable[[], None],
        kept: Checkpoints | None = None,
    ) -> tuple[Network, list[dict[str, Any]]]:
        """Let a version's network learn; give it, and the losses of each epoch.

        Args:
            lesson: what is learnt from.
            champion: whose network it is.
            check: called before every batch; raises to end the work.
            kept: where it goes on if it was killed.
        """
        _enough(lesson, form_of(champion.manifest))
        fresh = self._strategy.kind == "from-scratch"
        with _deterministic(self._strategy.seed, self._threads):
            network = load_network(champion, lesson.labels, lesson.old, fresh=fresh)
            told = self._learnt(network, lesson, champion, kept or _Kept(None, ""), check)
        network.module.to("cpu").eval()
        return network, told

    def _learnt(
        self,
        network: Network,
        lesson: Lesson,
        champion: Version,
        kept: Checkpoints,
        check: Callable[[], None],
    ) -> list[dict[str, Any]]:
        import torch

        form, training, device = form_of(champion.manifest), self._strategy.training, self._device()
        if device.startswith("cuda"):
            index = torch.device(device).index
            torch.cuda.set_per_process_memory_fraction(self._gpu_memory, index)
        train, validation = (
            Examples(champion, lesson, lesson.sides[side], form, flips=training.flips)
            for side in _SIDES
        )
        weights = self._weights(train, len(lesson.labels), form, device)
        try:
            network.module.to(device)
            loop = Loop(
                network,
                objective_for(champion, form, weights, training.pairs),
                training,
                rate=self._rate(network),
                seed=self._strategy.seed,
                device=device,
                half=self._precision() == "bfloat16",
                tells=self._tells,
            )
            return loop.run(train, validation, kept, check)
        except torch.OutOfMemoryError as error:
            told = " ".join(str(error).split())
            raise ModelError(
                f"strategy.training: memory of {device} does not hold it: a smaller batch_size, "
                f"fewer layers, or a larger budget.gpu_memory: {told:.200}"
            ) from error

    def _written(
        self, network: Network, lesson: Lesson, champion: Version, folder: Path
    ) -> tuple[Version, Exported]:
        found: list[Exported] = []

        def write(file: Path) -> None:
            shapes = shapes_of(champion.manifest, network.config)
            found.append(export(network.exportable(), shapes, file))

        version = successor(champion, folder, lesson.labels, write)
        network.save(folder / TRAINABLE)
        return version, found[0]

    def _rate(self, network: Network) -> float:
        given = self._strategy.training.learning_rate
        if given is not None:
            return given
        return _OWN_RATE if network.own else _RATES[self._strategy.kind]

    def _weights(self, train: Examples, labels: int, form: Form, device: str) -> Any:
        """Weigh classes so that each counts the same, if the file says so."""
        import numpy as np
        import torch

        if self._strategy.class_weight == "none" or form not in WEIGHABLE:
            return None
        targets = train.targets
        found = np.ones(labels)
        found[targets] = balanced(targets)
        return torch.tensor(found, dtype=torch.float32, device=device)

    def _device(self) -> str:
        import torch

        wanted = self._strategy.training.device
        if wanted != "auto":
            if wanted.startswith("cuda") and not torch.cuda.is_available():
                raise ConfigError(f"strategy.training.device: {wanted}: Torch sees no GPU")
            return wanted
        return "cuda" if torch.cuda.is_available() else "cpu"

    def _precision(self) -> str:
        import torch

        wanted = self._strategy.training.precision
        if wanted != "auto":
            return wanted
        made_for_it = self._device().startswith("cuda") and torch.cuda.is_bf16_supported(
            including_emulation=False
        )
        return "bfloat16" if made_for_it else "float32"

    def _name(self, lesson: Lesson, champion: Version) -> str:
        """Name a run's checkpoint by all that decides what comes of it."""
        told = [
            lesson.digest,
            lesson.labels,
            champion.manifest.version,
            self._strategy.model_dump(mode="json"),
            self._device(),
            self._precision(),
        ]
        return sha256(json.dumps(told).encode()).hexdigest()[:24]


class _Kept:
    """A checkpoint beside the set; nothing is kept where there is no place."""

    def __init__(self, place: Place | None, name: str) -> None:
        self._place = place
        self._file = f"{_FOLDER}/{name}.pt"

    def read(self) -> bytes | None:
        return self._place.read(self._file) if self._place is not None else None

    def write(self, content: bytes) -> None:
        if self._place is not None:
            self._place.write(self._file, content)

    def forget(self) -> None:
        if self._place is not None:
            self._place.remove(self._file)


def _enough(lesson: Lesson, form: Form) -> None:
    if form != "score":
        enough(lesson, form)
    elif len(lesson.sides["train"].examples) < _LEAST:
        raise TooLittleError(f"fewer than {_LEAST} pairs: nothing to learn from")


def _require(*, own: bool) -> None:
    from importlib.util import find_spec

    wanted = ["torch", "safetensors", "onnxscript", *([] if own else ["transformers"])]
    missing = [name for name in wanted if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"to learn on weights {', '.join(missing)} must be there: pip install "
            "'streamer[torch]' onnxscript"
        )


@contextmanager
def _deterministic(seed: int, threads: int) -> "Iterator[None]":
    """Fix what decides the result: the seed, the threads, which kernels run."""
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as cuBLAS asks for it
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(mode=before[1])

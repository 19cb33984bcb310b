"""Strategies that need no Torch: a new linear head on the frozen version, and calibration."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from streamer.errors import ConfigError, ModelError
from streamer.graphs.head import After, Head, expose, find_head, with_head
from streamer.models import Version
from streamer.models.golden import FOLDER
from streamer.models.location import MANIFEST
from streamer.models.manifest import Manifest
from streamer.models.packing import described, files_of
from streamer.models.version import load_version
from streamer.postprocess.classes import function_of
from streamer.records import Sample
from streamer.retraining.config import Strategy
from streamer.retraining.examples import Side
from streamer.retraining.fitting import (
    Fitted,
    Known,
    Linear,
    balanced,
    fit_head,
    fit_temperature,
)
from streamer.retraining.lesson import Lesson, Part
from streamer.retraining.runner import Runner

_TASKS = ("image-classification", "text-classification")
_TORCH = ("finetune", "from-scratch", "embedding")
_LEAST_LEARNT = 2
_TOLERANCE = 1e-3
_MOST_CACHED = 200_000
_TRAINABLE = "trainable"


@dataclass(frozen=True)
class Challenger:
    """A version that was made.

    Attributes:
        version: in a folder of its own.
        parity: how far its file is from what was fitted, in logits.
        tried: what was tried on the way.
        text: how it was made, in a sentence.
    """

    version: Version
    parity: float
    tried: tuple[dict[str, Any], ...]
    text: str


class Learner:
    """Makes challengers of a version.

    Args:
        strategy: how.
        threads: CPU threads that it may use.
    """

    def __init__(self, strategy: Strategy, threads: int) -> None:
        self._strategy = strategy
        self._threads = threads
        self._features: dict[tuple[str, str, str], NDArray[np.float32]] = {}

    def check(self, version: Version) -> str:
        """Say what is going to be learnt of a version.

        Raises:
            ConfigError: the strategy can't be had of this version.
        """
        manifest, kind = version.manifest, self._strategy.kind
        if kind in _TORCH:
            there = (version.folder / _TRAINABLE).is_dir()
            why = (
                "is not learnt yet by this release"
                if there
                else f"needs {_TRAINABLE}/ in the version, which has none"
            )
            raise ConfigError(
                f"strategy.kind: {kind} {why}: of {manifest.name} {manifest.version} head and "
                "calibrate can be had"
            )
        if manifest.task not in _TASKS:
            raise ConfigError(
                f"strategy.kind: {kind} is for {' and '.join(_TASKS)}; {manifest.name} "
                f"{manifest.version} is for {manifest.task}"
            )
        if manifest.problem_type not in (None, "single_label_classification"):
            raise ConfigError(
                f"strategy.kind: {kind} learns single labels; {manifest.name} {manifest.version} "
                f"has problem_type: {manifest.problem_type}"
            )
        name, after = output_of(manifest)
        try:
            head = find_head(version.file, name, self._strategy.features)
        except ModelError as error:
            raise ConfigError(f"strategy.kind: {kind}: {error}") from error
        if kind == "calibrate" and head.weights is None:
            raise ConfigError(
                f"strategy.kind: calibrate scales the last matrix product, and {version.file} does "
                "not hold it as plain numbers"
            )
        drawn = "drawn towards the one that serves" if head.weights is not None else "from nothing"
        made = f"a new head on the tensor '{head.features}', {drawn}"
        told = made if kind == "head" else f"a temperature on '{name}'"
        return f"{told}; probabilities by {after if after != 'none' else 'the manifest'}"

    def learn(
        self, lesson: Lesson, champion: Version, folder: Path, check: Callable[[], None]
    ) -> Challenger:
        """Make a challenger.

        Args:
            lesson: what is learnt from.
            champion: what it is made of.
            folder: where its files go; must not exist.
            check: called now and then; raises to end the work.

        Raises:
            ConfigError: there is too little to learn from.
            ModelError: its file does not compute what was fitted.
        """
        train = lesson.sides["train"]
        if len(set(train.truths)) < _LEAST_LEARNT:
            seen = ", ".join(sorted(set(train.truths))) or "nothing"
            raise TooLittleError(
                f"the training examples are all of one label: {seen}; nothing can be told apart"
            )
        name, after = output_of(champion.manifest)
        head = find_head(champion.file, name, self._strategy.features)
        features = {
            side: self.features(champion, head, part, check, folder)
            for side, part in lesson.sides.items()
            if side != "test"
        }
        known = {side: self._known(lesson, side, found) for side, found in features.items()}
        if self._strategy.kind == "calibrate":
            fitted, text = _calibrated(known["validation"], known["train"], head)
        else:
            prior = Linear(*_prior(head)) if head.weights is not None else None
            fitted = fit_head(known["train"], known["validation"], len(lesson.labels), prior, check)
            text = "a new linear head on the frozen version"
        version = self._written(lesson, champion, head, fitted.head, after=after, folder=folder)
        examples = lesson.sides["validation"].samples or train.samples
        parity = self._parity(
            version, head, fitted.head, champion=champion, samples=examples[:64], after=after
        )
        return Challenger(version, parity, fitted.tried, text)

    def _known(self, lesson: Lesson, side: Side, features: NDArray[np.float32]) -> Known:
        targets = np.array(lesson.indices(side), np.int64)
        good = np.isfinite(features).all(axis=1) if len(features) else np.zeros(0, bool)
        targets = targets[good]
        weights = np.ones(len(targets))
        if self._strategy.class_weight == "balanced" and len(targets):
            weights = balanced(targets)
        return Known(features[good].astype(np.float64), targets, weights)

    def featured(
        self, version: Version, part: Part, check: Callable[[], None]
    ) -> NDArray[np.float32]:
        """Compute what a version's head works on; samples that cannot be answered are left out."""
        name, _ = output_of(version.manifest)
        head = find_head(version.file, name, self._strategy.features)
        with tempfile.TemporaryDirectory(prefix="streamer-retrain-") as folder:
            found = self.features(version, head, part, check, Path(folder) / "features")
        good: NDArray[np.float32] = found[np.isfinite(found).all(axis=1)]
        return good

    def features(
        self,
        version: Version,
        head: Head,
        part: Part,
        check: Callable[[], None],
        folder: Path,
    ) -> NDArray[np.float32]:
        """Compute features, but for those that were computed before."""
        model = f"{version.manifest.version} {version.file}"
        keys = [(model, head.features, one.sha) for one in part.examples]
        missing = [at for at, key in enumerate(keys) if key not in self._features]
        if missing:
            exposed = folder.with_name(f"{folder.name}.features.onnx")
            expose(version.file, head, exposed)
            with Runner(
                version, threads=self._threads, tensors=[head.features], file=exposed, check=check
            ) as runner:
                found = runner.run([part.samples[at] for at in missing], [head.features])[
                    head.features
                ]
            exposed.unlink()
            if len(self._features) + len(missing) > _MOST_CACHED:
                self._features.clear()
                return self.features(version, head, part, check, folder)
            for at, row in zip(missing, found, strict=True):
                self._features[keys[at]] = row
        rows = [self._features[key] for key in keys]
        return np.stack(rows) if rows else np.zeros((0, 1), np.float32)

    def _written(  # noqa: PLR0913 - the parts of a version
        self,
        lesson: Lesson,
        champion: Version,
        head: Head,
        linear: Linear,
        *,
        after: After,
        folder: Path,
    ) -> Version:
        """Write the version's folder."""
        folder.mkdir(parents=True)
        for name in files_of(champion):
            if name.split("/")[0] == _TRAINABLE or champion.folder / name == champion.file:
                continue
            copy = folder / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(champion.folder / name, copy)
        without_answers(folder)
        weights = linear.weights.astype(np.float32)
        file = folder / champion.file.relative_to(champion.folder)
        file.parent.mkdir(parents=True, exist_ok=True)
        bias = linear.bias.astype(np.float32)
        with_head(champion.file, head, weights, bias, file, after=after)
        content = described(champion)
        labels = lesson.labels if self._strategy.kind == "head" else lesson.labels[: lesson.old]
        content["id2label"] = dict(enumerate(labels))
        for gone in ("labels", "files", "metrics", "lineage"):
            content.pop(gone, None)
        written = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        (folder / MANIFEST).write_text(written, encoding="utf-8")
        return load_version(str(folder), beside=folder, models_dir=folder)

    def _parity(  # noqa: PLR0913 - both sides of the comparison
        self,
        version: Version,
        head: Head,
        linear: Linear,
        *,
        champion: Version,
        samples: Sequence[Sample],
        after: After,
    ) -> float:
        """Compare the written file with what was fitted, in batches of 1, 3 and more.

        Raises:
            ModelError: they differ by more than sums in another order do.
        """
        exposed = version.folder.with_name(f"{version.folder.name}.parity.onnx")
        expose(champion.file, head, exposed)
        try:
            with Runner(
                champion, threads=self._threads, tensors=[head.features], file=exposed
            ) as runner:
                features = runner.run(samples, [head.features])[head.features]
        finally:
            exposed.unlink()
        expected = probabilities(linear.logits(features), after)
        most = 0.0
        with Runner(version, threads=self._threads) as runner:
            for size in (1, 3, len(samples)):
                found = runner.run(samples[:size], [head.output])[head.output]
                most = max(most, _apart(expected[:size], found))
        if not most <= _TOLERANCE:
            raise ModelError(
                f"the written file is {most:.2g} off what was learnt, more than {_TOLERANCE:g}"
            )
        return most


class TooLittleError(ConfigError):
    """There is nothing to learn from yet."""


def output_of(manifest: Manifest) -> tuple[str, After]:
    """Give the output with the scores, and what makes probabilities of it within the graph.

    Raises:
        ConfigError: there is no such output, or it is not one number a label.
    """
    found = {n: o for n, o in manifest.outputs.items() if o.decode in ("logits", "probabilities")}
    if len(found) != 1:
        raise ConfigError(f"model {manifest.name}: no one output with decode: logits to learn on")
    [(name, output)] = found.items()
    if output.background or output.scale is not None:
        raise ConfigError(
            f"model {manifest.name}: outputs.{name}: a head with a background or with quantised "
            "scores is not learnt"
        )
    if output.decode == "probabilities":
        return name, "softmax"
    if function_of(manifest, output, max(len(manifest.id2label), 2)) != "softmax":
        raise ConfigError(f"model {manifest.name}: only scores that softmax reads are learnt")
    return name, "none"


def probabilities(logits: NDArray[Any], after: After) -> NDArray[np.float64]:
    """Give what the graph's output holds."""
    given = np.asarray(logits, np.float64)
    if after == "none":
        return given
    powers = np.exp(given - given.max(axis=1, keepdims=True))
    found: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return found


def without_answers(folder: Path) -> None:
    """Keep the inputs of golden records, and drop the answers of the version before."""
    import json

    file = folder / FOLDER / "records.jsonl"
    if not file.is_file():
        return
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]
    kept = [{key: value for key, value in one.items() if key != "output"} for one in lines]
    text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in kept)
    file.write_text(text, encoding="utf-8")


def _calibrated(validation: Known, train: Known, head: Head) -> tuple[Fitted, str]:
    weights, bias = _prior(head)
    known = validation if len(validation.targets) else train
    logits = Linear(weights, bias).logits(known.features)
    there = known.targets < len(bias)  # new labels have no score to scale
    found = fit_temperature(logits[there], known.targets[there])
    head_of = Linear(weights / found, bias / found)
    return Fitted(head_of, ({"temperature": found},)), f"its logits divided by {found:.3f}"


def _prior(head: Head) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    assert head.weights is not None  # noqa: S101 - the caller has looked
    assert head.bias is not None  # noqa: S101
    return head.weights.astype(np.float64), head.bias.astype(np.float64)


def _apart(expected: NDArray[Any], found: NDArray[Any]) -> float:
    good = np.isfinite(expected).all(axis=1) & np.isfinite(found).all(axis=1)
    if not good.any():
        return 0.0
    off = float(np.abs(expected[good] - found[good]).max())
    return off / max(float(np.abs(expected[good]).max()), 1.0)

"""The strategy `head`: a new head on the frozen version, without Torch.

Of classifiers of pictures and texts, with one label or several, and of what labels the tokens of a
text.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ConfigError, ModelError
from streamer.graphs.head import Head, find_head, find_hidden
from streamer.graphs.headed import After, with_head
from streamer.models import Version
from streamer.models.manifest import Manifest
from streamer.postprocess.classes import function_of
from streamer.records import Sample, Text
from streamer.retraining.challenger import Challenger, TooLittleError, successor
from streamer.retraining.config import Strategy
from streamer.retraining.examples import Side
from streamer.retraining.features import Features, Parts, as_rows, computed_features
from streamer.retraining.fitting import Fit, Fitted, Known, fit_head
from streamer.retraining.hidden import Mlp, fit_mlp
from streamer.retraining.lesson import Lesson, Part
from streamer.retraining.linear import Linear
from streamer.retraining.losses import balanced, log_softmax, sigmoid
from streamer.retraining.runner import Runner
from streamer.retraining.tokens import Tagger
from streamer.retraining.truth import Form, form_of, names_in

TOLERANCE = 1e-3
_LEAST_LEARNT = 2
_COMPARED = 64
_WIDE = 2
_SIDES: tuple[Side, ...] = ("train", "validation")
_FORMS: tuple[Form, ...] = ("label", "labels", "entities")


class NewHead:
    """Learns a head.

    Args:
        strategy: how.
        features: computes what heads work on.
        threads: CPU threads.
    """

    def __init__(self, strategy: Strategy, features: Features, threads: int) -> None:
        self._strategy = strategy
        self._features = features
        self._threads = threads

    def check(self, version: Version) -> str:
        """Say what is going to be learnt of a version.

        Raises:
            ConfigError: the strategy can't be had of it.
        """
        name, after = output_of(version.manifest)
        head = _found(version, name, self._strategy.features)
        drawn = "drawn towards the one that serves" if head.weights is not None else "from nothing"
        if self._strategy.head == "mlp":
            drawn = f"of {self._strategy.hidden} units"
        told = f"a new {self._kind} on the tensor '{head.features}', {drawn}"
        return f"{told}; probabilities by {after if after != 'none' else 'the manifest'}"

    def learn(
        self, lesson: Lesson, champion: Version, folder: Path, check: Callable[[], None]
    ) -> Challenger:
        """Make a challenger; see `Learner.learn`."""
        task = _Task.of(champion, self._strategy.features)
        enough(lesson, task.form)
        base = self._base(champion, task.head)
        tagger = Tagger(champion, lesson.labels) if task.form == "entities" else None
        known: dict[str, Known] = {}
        for side in _SIDES:
            part = lesson.sides[side]
            found = self._features.of(champion, base, part, check, folder)
            known[side] = (
                self._known(lesson, side, task.form, found)
                if tagger is None
                else _of_tokens(tagger, part, found)
            )
            if self._strategy.class_weight == "balanced":
                known[side] = replace(known[side], weights=balanced(known[side].targets))
        fitted = self._fitted(known, lesson, champion, task.head, check)
        layers = [(one.weights, one.bias) for one in fitted.head.layers]

        def write(file: Path) -> None:
            with_head(
                champion.file, base, layers, file, after=task.after, each=task.form == "entities"
            )

        version = successor(champion, folder, lesson.labels, write)
        samples = (lesson.sides["validation"].samples or lesson.sides["train"].samples)[:_COMPARED]
        parity = compared(
            version, champion, base, fitted.head, samples, after=task.after, threads=self._threads
        )
        return Challenger(
            version, parity, fitted.tried, f"a new {self._kind} on the frozen version"
        )

    @property
    def _kind(self) -> str:
        return "linear head" if self._strategy.head == "linear" else "head with a hidden layer"

    def _base(self, champion: Version, head: Head) -> Head:
        """Give what the head works on: with a hidden layer, what that one works on."""
        if self._strategy.head != "mlp" or self._strategy.features is not None:
            return head
        return find_hidden(champion.file, head) or head

    def _fitted(
        self,
        known: dict[str, Known],
        lesson: Lesson,
        champion: Version,
        head: Head,
        check: Callable[[], None],
    ) -> Fitted:
        count = len(lesson.labels)
        if self._strategy.head == "linear":
            prior = Linear(*numbers(head)) if head.weights is not None else None
            return fit_head(known["train"], known["validation"], count, prior, check)
        below = find_hidden(champion.file, head)
        before = None
        if below is not None and head.weights is not None and below.weights is not None:
            before = Mlp(Linear(*numbers(below)), Linear(*numbers(head)))
        return fit_mlp(
            known["train"],
            known["validation"],
            count,
            width=self._strategy.hidden,
            prior=before,
            seed=self._strategy.seed,
            check=check,
        )

    def _known(
        self, lesson: Lesson, side: Side, form: Form, found: Sequence[Parts | None]
    ) -> Known:
        rows = as_rows(found)
        good = np.isfinite(rows).all(axis=1)
        targets: NDArray[Any] = (
            several(lesson.sides[side], lesson.labels)
            if form == "labels"
            else np.array(lesson.indices(side), np.int64)
        )[good]
        return Known(rows[good].astype(np.float64), targets, np.ones(len(targets)))


@dataclass(frozen=True)
class _Task:
    """What a champion's head does."""

    form: Form
    head: Head
    after: After

    @classmethod
    def of(cls, champion: Version, features: str | None) -> "_Task":
        name, after = output_of(champion.manifest)
        return cls(form_of(champion.manifest), _found(champion, name, features), after)


def enough(lesson: Lesson, form: Form) -> None:
    """Make sure that there is something to learn from.

    Raises:
        TooLittleError: there is not.
    """
    names = set(lesson.sides["train"].names)
    least = _LEAST_LEARNT if form == "label" else 1
    if len(names) < least:
        seen = ", ".join(sorted(names)) or "nothing"
        raise TooLittleError(
            f"the training examples are all of one label: {seen}; nothing can be told apart"
        )


def several(part: Part, labels: Sequence[str]) -> NDArray[np.float64]:
    """Give [n, labels], 1 where an example has a label."""
    places = {label: at for at, label in enumerate(labels)}
    found = np.zeros((len(part.examples), len(labels)))
    for row, answer in zip(found, part.answers, strict=True):
        row[[places[name] for name in names_in(answer)]] = 1.0
    return found


def output_of(manifest: Manifest) -> tuple[str, After]:
    """Give the output with the scores, and what makes probabilities of it within the graph.

    Raises:
        ConfigError: there is no such output, or it is not one number a label.
    """
    found = {n: o for n, o in manifest.outputs.items() if o.decode in ("logits", "probabilities")}
    if len(found) != 1 or form_of(manifest) not in _FORMS:
        raise ConfigError(f"model {manifest.name}: no one output with decode: logits to learn on")
    [(name, output)] = found.items()
    if output.background or output.scale is not None:
        raise ConfigError(
            f"model {manifest.name}: outputs.{name}: a head with a background or with quantised "
            "scores is not learnt"
        )
    several_hold = form_of(manifest) == "labels"
    wanted: After = "sigmoid" if several_hold else "softmax"
    if output.decode == "probabilities":
        return name, wanted
    given = function_of(manifest, output, max(len(manifest.id2label), 2))
    if manifest.task != "token-classification" and given != wanted:
        raise ConfigError(
            f"model {manifest.name}: its scores are read by {given}, and learnt are only those "
            f"that {wanted} reads"
        )
    return name, "none"


def numbers(head: Head) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give a head's weights and bias; the caller has looked that it has them."""
    assert head.weights is not None  # noqa: S101
    assert head.bias is not None  # noqa: S101
    return head.weights.astype(np.float64), head.bias.astype(np.float64)


def probabilities(logits: NDArray[Any], after: After) -> NDArray[np.float64]:
    """Give what the graph's output holds."""
    given = np.asarray(logits, np.float64)
    if after == "none":
        return given
    if after == "sigmoid":
        return sigmoid(given)
    return np.exp(log_softmax(given))


def compared(  # noqa: PLR0913 - both sides of the comparison
    version: Version,
    champion: Version,
    head: Head,
    fit: Fit,
    samples: Sequence[Sample],
    *,
    after: After,
    threads: int,
) -> float:
    """Compare the written file with what was fitted, in batches of 1, 3 and more.

    Raises:
        ModelError: they differ by more than sums in another order do.
    """
    folder = version.folder.with_name(f"{version.folder.name}.parity")
    found = computed_features(champion, head, samples, folder, threads=threads)
    most = 0.0
    with Runner(version, threads=threads) as runner:
        for size in (1, 3, len(samples)):
            written = runner.parts(samples[:size], [head.output])
            for features, outputs in zip(found[:size], written, strict=True):
                most = max(most, _apart(features, outputs, head.output, fit, after))
    if not most <= TOLERANCE:
        raise ModelError(
            f"the written file is {most:.2g} off what was learnt, more than {TOLERANCE:g}"
        )
    return most


def _apart(features: Parts | None, outputs: Any, output: str, fit: Fit, after: After) -> float:
    if features is None or outputs is None or not np.isfinite(features[0]).all():
        return 0.0
    rows = features[0] if features[0].ndim == _WIDE else features[0].reshape(1, -1)
    expected = probabilities(fit.logits(rows), after)
    off = np.abs(expected - outputs[0][output].reshape(expected.shape)).max()
    return float(off) / max(float(np.abs(expected).max()), 1.0)


def _of_tokens(tagger: Tagger, part: Part, found: Sequence[Parts | None]) -> Known:
    """Put the tokens of all texts below each other, each with its label."""
    rows, targets = [], []
    texts = [one.text for one in part.samples if isinstance(one, Text)]
    for parts, tags in zip(found, tagger.tags(texts, part.answers), strict=True):
        if parts is None:
            continue
        kept = [at for at, tag in enumerate(tags) if tag is not None and at < len(parts[0])]
        rows.append(parts[0][kept])
        targets += [tags[at] for at in kept]
    width = rows[0].shape[1] if rows else 1
    stacked = np.concatenate(rows) if rows else np.zeros((0, width))
    good = np.isfinite(stacked).all(axis=1)
    kept_targets = np.array(targets, np.int64)[good]
    return Known(stacked[good].astype(np.float64), kept_targets, np.ones(len(kept_targets)))


def _found(version: Version, output: str, features: str | None) -> Head:
    try:
        return find_head(version.file, output, features)
    except ModelError as error:
        raise ConfigError(f"strategy.kind: head: {error}") from error


__all__ = ["NewHead", "compared", "numbers", "output_of", "probabilities"]

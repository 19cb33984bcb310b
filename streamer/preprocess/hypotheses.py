"""Zero-shot classification: each label a sentence that is held against the text."""

from collections.abc import Sequence
from typing import Any, Literal

from numpy.typing import NDArray

from streamer.errors import ModelError, RecordError
from streamer.models.manifest import Manifest
from streamer.preprocess.mismatch import wrong_type
from streamer.preprocess.text import TextPreprocessor
from streamer.records import ModelInput, Pair, Sample, Text


class HypothesisPreprocessor:
    """Makes a pair of the text and each candidate label's hypothesis."""

    kind: Literal["text"] = "text"

    def __init__(self, manifest: Manifest, pairs: TextPreprocessor) -> None:
        """Prepare the hypotheses.

        Raises:
            ModelError: there are no labels to choose from.
        """
        wanted = manifest.postprocess
        if not wanted.candidate_labels:
            raise ModelError(
                f"model {manifest.name}: zero-shot-classification needs labels to choose from: "
                "write candidate_labels: [LABEL, …] in the topology's step"
            )
        self._hypotheses = [
            wanted.hypothesis_template.replace("{}", label) for label in wanted.candidate_labels
        ]
        self._pairs = pairs

    def prepare(self, samples: Sequence[Sample]) -> list[list[ModelInput] | RecordError]:
        """Make one part for each label, in the order of the labels."""
        texts = [sample for sample in samples if isinstance(sample, Text)]
        pairs = [Pair(sample.text, other) for sample in texts for other in self._hypotheses]
        prepared = iter(self._pairs.prepare(pairs))
        outcomes: list[list[ModelInput] | RecordError] = []
        for sample in samples:
            if not isinstance(sample, Text):
                outcomes.append(wrong_type(sample, "texts"))
                continue
            parts = [next(prepared) for _ in self._hypotheses]
            failed = [part for part in parts if isinstance(part, RecordError)]
            good = [one for part in parts if isinstance(part, list) for one in part]
            outcomes.append(failed[0] if failed else good)
        return outcomes

    def collate(self, inputs: Sequence[ModelInput]) -> dict[str, NDArray[Any]]:
        """Make a batch of pairs."""
        return self._pairs.collate(inputs)

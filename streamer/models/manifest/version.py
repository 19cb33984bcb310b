"""The manifest of a model version."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from streamer.config.section import Section
from streamer.models.manifest.generation import Generation
from streamer.models.manifest.inputs import Input
from streamer.models.manifest.outputs import Output, Postprocess
from streamer.models.manifest.values import Positive


class BatchLimits(Section):
    """What the file itself allows."""

    max_size: Positive | Literal["auto"] = "auto"
    fixed: Positive | None = None
    """The batch size that the file fixes."""


class Lineage(Section):
    """Where the version comes from."""

    model_config = {**Section.model_config, "extra": "allow"}

    parent: str | None = None
    seed: int | None = None


class Manifest(Section):
    """A model version."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")] = "1"
    task: str
    files: dict[str, str] = {}
    """File name to `sha256:…`."""
    id2label: dict[int, str] = {}
    labels: str | None = None
    """A file beside the manifest in the place of `id2label`: `.txt` or `.csv`."""
    parents: dict[str, str] = {}
    """By label or group, the group that it belongs to."""
    problem_type: (
        Literal["single_label_classification", "multi_label_classification", "regression"] | None
    ) = None
    inputs: dict[str, Input]
    outputs: dict[str, Output]
    postprocess: Postprocess = Postprocess()
    generation: Generation = Generation()
    batch: BatchLimits = BatchLimits()
    metrics: dict[str, Any] = {}
    lineage: Lineage = Lineage()
    license: str | None = None
    description: str | None = None

    @field_validator("version", mode="before")
    @classmethod
    def _version_is_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("id2label", mode="before")
    @classmethod
    def _labels_by_index(cls, value: Any) -> Any:
        """Take a list of labels too, and labels that YAML reads as whole numbers."""
        pairs = dict(enumerate(value)) if isinstance(value, list) else value
        if not isinstance(pairs, dict):
            return pairs
        return {
            index: str(label) if type(label) is int else label for index, label in pairs.items()
        }

    @model_validator(mode="after")
    def _indices_are_whole(self) -> Self:
        missing = set(range(len(self.id2label))) - set(self.id2label)
        if missing:
            message = f"id2label: indices must run from 0 without gaps; missing {sorted(missing)}"
            raise ValueError(message)
        return self

"""What a topology may say of a model's task, in the step or with the model."""

from typing import Annotated, Literal

from pydantic import Field

from streamer.config.section import Section


class TaskOptions(Section):
    """Choices of single tasks; those left out are the model's own."""

    candidate_labels: tuple[str, ...] | None = None
    """For zero-shot-classification: the labels to choose from."""
    hypothesis_template: Annotated[str, Field(pattern=r"\{\}")] | None = None
    """For zero-shot-classification: the sentence that is held against the text, with {} for the
    label; by default 'This example is {}.'"""
    multi_label: bool | None = None
    """For zero-shot-classification: whether several labels may hold at once."""
    aggregation_strategy: Literal["none", "simple", "first", "average", "max"] | None = None
    """For token-classification: how tokens become entities."""
    pair: bool | None = None
    """For text-classification: whether the model takes two sentences."""
    normalize: bool | None = None
    """For feature-extraction: whether vectors are answered at length 1."""
    prefix: str | None = None
    """For models that write texts: what is put before each text."""
    src_lang: str | None = None
    """For translation: language of the texts, as the tokenizer names it."""
    tgt_lang: str | None = None
    """For translation: language of the answers, as the tokenizer names it."""
    max_new_tokens: Annotated[int, Field(gt=0)] | None = None
    """For models that write texts: tokens of an answer at the most."""

"""How a model writes texts: translations, summaries, captions."""

from typing import Annotated

from pydantic import Field

from streamer.config.section import Section
from streamer.models.manifest.values import Positive


class Generation(Section):
    """Limits of a text that a model writes, token by token.

    What is not said here is as the folder's `generation_config.json` has it, except that nothing
    is drawn by lot and, unless `num_beams` says otherwise, no beams are searched.
    """

    max_new_tokens: Positive = 64
    """Tokens of an answer at the most."""
    max_length_ratio: Annotated[float, Field(gt=0)] | None = None
    """Tokens of an answer at the most for each token of its text, where that is less."""
    num_beams: Positive = 1
    """Answers that are followed at once, of which the best is given; 1: greedy."""
    tgt_lang: str | None = None
    """Language of the answers, as the tokenizer names it."""

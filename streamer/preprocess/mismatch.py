"""What to say of a sample that the model cannot read."""

from streamer.errors import RecordError
from streamer.records import Image, Pair, Sample, Text

_NAMES = {Image: "a picture", Text: "a text", Pair: "a pair of sentences"}


def wrong_type(sample: Sample, wanted: str) -> RecordError:
    """Make the error of a sample that is not of the kind that the model reads."""
    return RecordError(
        f"{_NAMES[type(sample)]}, where the model reads {wanted}", reason="wrong-type"
    )

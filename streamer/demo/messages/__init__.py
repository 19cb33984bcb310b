"""The demo's customers: support messages for an online shop, and sentence pairs."""

from streamer.demo.messages.generator import (
    Message,
    SentencePair,
    canonical,
    held_out,
    labels,
    sentence_pairs,
    traffic,
    training_messages,
)

__all__ = [
    "Message",
    "SentencePair",
    "canonical",
    "held_out",
    "labels",
    "sentence_pairs",
    "traffic",
    "training_messages",
]

"""What `intents` is trained on: generated messages, variants of them, and the teacher's view."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from streamer.demo.messages import Message, labels, training_messages
from streamer.demo.training.minilm import FIRST_WORD, MiniLM, word_piece_tokenizer

MAX_LENGTH = 64
_NEIGHBOURS, _NEAREST = 10, 0.45
"""How many words may stand in for one, and how alike they must at least be."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Texts with what is to be learnt of each.

    Attributes:
        texts: messages, then their variants.
        vectors: the teacher's sentence vectors, float32 [N, 384].
        log_odds: the teacher's log-probabilities of the labels, float32 [N, K].
        known: how many texts, the first ones, have a sure label.
        classes: index of the label of each of these.
    """

    texts: list[str]
    vectors: NDArray[np.float32]
    log_odds: NDArray[np.float32]
    known: int
    classes: NDArray[np.int64]


def examples(
    teacher: MiniLM, tokens: NDArray[np.float32], per_label: int, variants: int, seed: int
) -> Examples:
    """Generate messages and let the teacher read them.

    Args:
        teacher: embeds the texts; a logistic regression on its vectors gives the probabilities.
        tokens: the teacher's vectors of single word pieces, to find words that are alike.
        per_label: messages for each intent.
        variants: further texts for each message, with other words in the place of some. They may
            mean something else, so it is the teacher that says what.
        seed: of the messages and the variants.
    """
    messages = list(training_messages(per_label, seed))
    random = Random(seed)
    neighbours = _neighbours(teacher, tokens, messages)
    texts = [message.text for message in messages]
    texts += [_varied(text, neighbours, random) for text in texts for _ in range(variants)]
    tokenizer = word_piece_tokenizer(teacher.pieces)
    tokenizer.enable_truncation(MAX_LENGTH)
    vectors = teacher.sentence_vectors([found.ids for found in tokenizer.encode_batch(texts)])
    index = {label: at for at, label in enumerate(labels())}
    classes = np.array([index[message.label] for message in messages])
    judge = LogisticRegression(C=3, max_iter=2000).fit(vectors[: len(messages)], classes)
    log_odds = judge.predict_log_proba(vectors).astype(np.float32)
    return Examples(texts, vectors, log_odds, len(messages), classes)


def _neighbours(
    teacher: MiniLM, tokens: NDArray[np.float32], messages: Sequence[Message]
) -> Mapping[str, list[str]]:
    """Find for each word of the messages the frequent words that MiniLM finds alike."""
    centred = tokens - tokens[FIRST_WORD:].mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    frequent = [
        at
        for at, piece in enumerate(teacher.pieces[:16000])
        if at >= FIRST_WORD and piece.isascii() and piece.isalpha()
    ]
    row = {teacher.pieces[at]: at for at in frequent}
    words = sorted({word for message in messages for word in message.text.lower().split()})
    found: dict[str, list[str]] = {}
    for word in words:
        if word not in row:
            continue
        likeness = centred[frequent] @ centred[row[word]]
        nearest = np.argsort(-likeness, kind="stable")[1 : _NEIGHBOURS + 1]
        found[word] = [teacher.pieces[frequent[at]] for at in nearest if likeness[at] > _NEAREST]
    return {word: alike for word, alike in found.items() if alike}


def _varied(text: str, neighbours: Mapping[str, list[str]], random: Random) -> str:
    """Put words that are alike in the place of some, and leave a few out."""
    share = random.choice([0.1, 0.25, 0.4])
    kept = []
    for word in text.lower().split():
        if word in neighbours and random.random() < share:
            kept.append(random.choice(neighbours[word]))
        elif random.random() < 0.95:
            kept.append(word)
    return " ".join(kept) or text

"""Sample traffic: scenes, messages, sentence pairs, and a few records made bad on purpose."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, cycle, islice

import cv2
import numpy as np

from streamer.demo.messages import sentence_pairs, traffic
from streamer.demo.scenes import scene
from streamer.records import OutRecord, TopicPartition

PHOTOS, MESSAGES, PAIRS = "street.photos", "support.messages", "pairs"
_SIZES = ((320, 320), (480, 360), (640, 480), (800, 600))


@dataclass(frozen=True)
class Sample:
    """A record to be sent.

    Attributes:
        bad: why no answer but a dead letter is expected.
        truth: what a message is about.
    """

    topic: str
    key: str
    value: bytes | None
    bad: str | None = None
    truth: str | None = None

    def record(self, number: int) -> OutRecord:
        """Give the Kafka record, the `number`-th of all."""
        return OutRecord(
            topic=self.topic,
            key=self.key.encode(),
            value=self.value,
            headers=(("demo", str(number).encode()),),
            timestamp=None,
            source=TopicPartition(self.topic, number),
        )


def photos(seed: int) -> Iterator[Sample]:
    """Compose street scenes of several sizes, as JPEG, without end."""
    rng = np.random.default_rng(seed)
    for number, size in zip(count(), cycle(_SIZES)):
        pixels, _ = scene(rng, "held-out", size)
        done, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])
        if not done:
            message = "OpenCV could not write a JPEG"
            raise RuntimeError(message)
        yield Sample(PHOTOS, f"camera-{number % 7}", encoded.tobytes())


def messages(seed: int) -> Iterator[Sample]:
    """Give support messages, without end."""
    for number, message in enumerate(traffic(seed)):
        key, value = f"customer-{number % 50}", message.text.encode()
        yield Sample(MESSAGES, key, value, truth=message.label)


def pairs() -> Iterator[Sample]:
    """Give sentence pairs, over and over."""
    for number, pair in enumerate(cycle(sentence_pairs())):
        value = json.dumps({"sentence1": pair.sentence1, "sentence2": pair.sentence2})
        yield Sample(PAIRS, f"pair-{number % 50}", value.encode())


def bad_ones() -> list[Sample]:
    """Give records that must end as dead letters, each for another reason."""
    whole = next(photos(0)).value or b""
    header = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (60_000).to_bytes(4, "big") * 2
    huge = header + b"\x08\x02\x00\x00\x00" + bytes(4)
    return [
        Sample(PHOTOS, "camera-0", whole[: len(whole) // 2], "truncated JPEG"),
        Sample(PHOTOS, "camera-1", b"%PDF-1.7 is no picture", "no picture"),
        Sample(PHOTOS, "camera-2", huge, "PNG of 60,000 x 60,000 pixels"),
        Sample(PHOTOS, "camera-3", b"", "empty value"),
        Sample(MESSAGES, "customer-0", b"caf\xe9 \xff\xfe", "invalid UTF-8"),
        Sample(PAIRS, "pair-0", b'{"sentence1": "alone"}', "missing field"),
    ]


def sample_traffic(photo_count: int, message_count: int, pair_count: int) -> list[Sample]:
    """Give the traffic of `demo --once`, the bad records spread among the others."""
    samples = [
        *islice(photos(7), photo_count),
        *islice(messages(7), message_count),
        *islice(pairs(), pair_count),
    ]
    order = np.random.default_rng(7).permutation(len(samples))
    mixed = [samples[index] for index in order]
    for number, bad in enumerate(bad_ones()):
        mixed.insert((number + 1) * len(mixed) // 8, bad)
    return mixed

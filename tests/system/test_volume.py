"""Many records through one daemon: each answered once, in order, in bounded memory."""

import sys
from collections import Counter
from dataclasses import dataclass, field

import pytest
from support import tiny
from support.daemon import Daemon
from support.topics import Got, Sent, expected_sources, in_order, sources

PARTITIONS = 3
SIZES = ((16, 16), (48, 64), (240, 320), (480, 640), (900, 1200), (1500, 2000))
PICTURES = {
    (colour, size): tiny.picture(colour, size, form)
    for colour in tiny.COLOURS
    for size, form in zip(SIZES, (".png", ".jpg", ".webp", ".jpg", ".jpg", ".jpg"), strict=True)
}


@dataclass
class Memory:
    """The daemon's resident memory, seen while its answers are read."""

    daemon: Daemon
    count: int
    begun_mb: float = 0.0
    seen_mb: list[float] = field(default_factory=list)

    def __call__(self, answered: int) -> None:
        """Look, once a tenth has been answered."""
        if answered > self.count / 10:
            self.seen_mb.append(self.daemon.rss_mb())
            self.begun_mb = self.begun_mb or self.seen_mb[0]

    @property
    def growth(self) -> float:
        """How much more there was at the most than after the first tenth, as a share."""
        return max(self.seen_mb) / self.begun_mb - 1


def text(number: int) -> Sent:
    words = ("good", "fine") if number % 2 else ("bad", "awful")
    value = " ".join(words[at % 2] for at in range(1 + number * 7919 % 60))
    return carried(number, value.encode())


def photo(number: int) -> Sent:
    value = PICTURES[tiny.COLOURS[number % 3], SIZES[number * 7919 // 3 % len(SIZES)]]
    return carried(number, value)


def carried(number: int, value: bytes) -> Sent:
    key = f"key {number % 101}".encode() if number % 5 else None
    return Sent(value, key, (("number", str(number).encode()), ("none", None)))


def all_is_well(answers: list[Got], source: str, ends: dict[int, int], records: list[Sent]) -> None:
    assert sources(answers) == dict.fromkeys(expected_sources(source, ends), 1)
    assert in_order(answers)
    for answer in answers:
        _, partition, offset = answer.source
        given = records[offset * PARTITIONS + partition]
        assert (answer.key, answer.headers[:2]) == (given.key, given.headers)


@pytest.mark.parametrize(
    ("texts", "pictures"),
    [
        (5_000, 200),
        pytest.param(100_000, 5_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
    ],
)
def test_volume(texts, pictures, topics, daemons, capsys):
    models = daemons.folder / "models"
    tiny.text_model(models)
    tiny.picture_model(models)
    topologies, expected = [], {}
    for form, model, count, made in (
        ("text", "mood", texts, text),
        ("image", "colours", pictures, photo),
    ):
        source, sink = topics.make(PARTITIONS, prefix=form), topics.make(PARTITIONS)
        topics.own(f"{sink}.deadletters")
        records = [made(number) for number in range(count)]
        topics.send(source, records)
        expected[form] = (source, sink, records)
        topologies.append(
            {
                "name": f"{form}-{sink[-8:]}",
                "delivery": "exactly-once" if form == "image" else "at-least-once",
                "source": {"topics": [source], "format": form},
                "model": model,
                "sink": {"topic": sink},
            }
        )
    with daemons.running(*topologies) as daemon:
        for form, (source, sink, records) in expected.items():
            memory = Memory(daemon, len(records))
            answers = topics.read(
                sink, len(records), patience=1200, alive=daemon.alive, progress=memory
            )
            all_is_well(answers, source, topics.ends(source), records)
            labels = Counter(
                said["output"][0]["label"]
                for answer in answers
                for said in answer.json["predictions"].values()
            )
            assert max(labels.values()) - min(labels.values()) <= 1
            with capsys.disabled():
                sys.stdout.write(
                    f"\n{len(records)} of {form}: {memory.begun_mb:.0f} MiB after a tenth, "
                    f"{max(memory.seen_mb):.0f} MiB at the most ({memory.growth:+.1%})\n"
                )
            if len(records) == 100_000 or pictures == 5_000:
                assert memory.growth < 0.1
        took = {
            name: daemon.status(name)["records_answered"]
            for name in (topology["name"] for topology in topologies)
        }
    assert sorted(took.values()) == sorted((texts, pictures))

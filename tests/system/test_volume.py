"""Many records through one daemon: each answered once, in order, in bounded memory."""

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

import pytest
from support import tiny
from support.daemon import Daemon
from support.topics import Got, Sent, expected_sources, in_order, sources
from support.waiting import eventually

PARTITIONS = 3
ENOUGH = 100_000
SIZES = ((16, 16), (48, 64), (240, 320), (480, 640), (900, 1200), (1500, 2000))
PICTURES = {
    (colour, size): tiny.picture(colour, size, form)
    for colour in tiny.COLOURS
    for size, form in zip(SIZES, (".png", ".jpg", ".webp", ".jpg", ".jpg", ".jpg"), strict=True)
}


@dataclass
class Watch:
    """A daemon's resident memory while it works its backlog off."""

    daemon: Daemon
    counts: Mapping[str, int]
    """Records of each topology."""
    first_mb: float = 0.0
    """The most until each had done its first tenth."""
    seen_mb: list[float] = field(default_factory=list)

    def done(self) -> bool:
        """Look once; whether all is answered."""
        self.daemon.alive()
        done = [
            self.daemon.status(name).get("records_answered", 0) / count
            for name, count in self.counts.items()
        ]
        if min(done) < 0.1:
            self.first_mb = max(self.first_mb, self.daemon.rss_mb())
        else:
            self.seen_mb.append(self.daemon.rss_mb())
        return min(done) >= 1

    @property
    def growth(self) -> float:
        """How much more there is in the last third than in the one before, as a share.

        What is in the line at a moment differs, by its limits, with the sizes of pictures, and
        the heap takes a while to have room for all of them; what is not given back goes on growing.
        """
        third = len(self.seen_mb) // 3
        return median(self.seen_mb[-third:]) / median(self.seen_mb[third : 2 * third]) - 1


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
        pytest.param(ENOUGH, 5_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
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
    counts = dict(zip((one["name"] for one in topologies), (texts, pictures), strict=True))
    with daemons.running(*topologies) as daemon:
        watch = Watch(daemon, counts)
        eventually(watch.done, "everything is answered", patience=1500, every=0.2)
        for source, sink, records in expected.values():
            answers = topics.read(sink, len(records), patience=300)
            all_is_well(answers, source, topics.ends(source), records)
            labels = Counter(
                said["output"][0]["label"]
                for answer in answers
                for said in answer.json["predictions"].values()
            )
            assert max(labels.values()) - min(labels.values()) <= 1
    if texts < ENOUGH:
        return  # over before memory has settled
    with capsys.disabled():
        steps = [watch.seen_mb[len(watch.seen_mb) * tenth // 10] for tenth in range(10)]
        sys.stdout.write(
            f"\n{texts} texts, {pictures} pictures: {watch.first_mb:.0f} MiB within a tenth of "
            f"each, {max(watch.seen_mb):.0f} at the most after it, {watch.growth:+.1%} in the last "
            f"third; over time "
            f"{' '.join(f'{step:.0f}' for step in steps)}\n"
        )
    assert watch.growth < 0.1

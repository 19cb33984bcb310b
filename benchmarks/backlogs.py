"""Backlogs: how fast records are answered that are all there before."""

from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import inputs
from benchmarks.kafka import Kafka
from benchmarks.results import Figures, Turn
from benchmarks.systems import Script, Streamer, System, peers
from benchmarks.turns import Part, Run, backlogs, rounds, worked_off
from streamer.demo import models as demo_models

SIGNS = Path(next(iter(demo_models.__path__))) / "signs" / "1"
_EXACTLY = {"delivery": "exactly-once"}
_LITTLE, _MUCH = 10_000, 1_000_000
_PICTURES = 1500
"""As many as decoding runs ahead of the model by, several times."""
_OFTEN = 5
"""Small backlogs for each large one: a second each is too short to be told from noise."""
_MIB = 2**20


def topology(kind: str, model: str, task: str) -> dict[str, Any]:
    """Give a topology of one step."""
    return {
        "source": {"format": kind},
        "models": {"model": {"uri": model}},
        "steps": {"step": {"model": "model", "task": task}},
    }


def texts_of(run: Run, model: str = "minilm", precision: str = "auto") -> dict[str, Any]:
    """Give the topology of the text benchmarks."""
    found = topology("text", run.model(model), "feature-extraction")
    found["models"]["model"]["precision"] = precision
    return found


def nothing_of(run: Run) -> dict[str, Any]:
    """Give the topology with the model of no cost."""
    return topology("text", run.model("nothing"), "text-classification")


def text(run: Run) -> None:
    """Texts of mixed lengths through all-MiniLM-L6-v2, fp32; streamer in eight bits, too."""
    model, count = run.model("minilm"), run.count(3000)
    systems = [
        Streamer("streamer", texts_of(run), **_EXACTLY),
        Streamer("streamer at-least-once", texts_of(run)),
        *peers(f"texts:{model}"),
    ]
    if run.has("minilm-int8"):
        described = texts_of(run, "minilm-int8", "int8")
        eight = [
            Streamer("streamer int8", described, **_EXACTLY),
            Streamer("streamer int8, librdkafka", described, client="librdkafka", **_EXACTLY),
        ]
        systems[2:2] = eight
    raw = ("raw_text", model, str(count))
    figures = backlogs(run, "text", systems, inputs.texts(count), raw)
    _beside(figures, systems, "streamer")
    best = _best_peer(figures, systems)
    for name in ("streamer int8", "streamer int8, librdkafka"):
        ratios = figures.ratios(name, best, "rate")
        figures.ask(f"{name} ÷ best peer's fp32 ({best})", ratios, ">= 3")
    figures.ask("int8 ÷ fp32", figures.ratios("streamer int8", "streamer", "rate"), ">= 1")


def pictures(run: Run, name: str, work: str, decode: str) -> None:
    """JPEGs of 0.1 to 12 megapixels, through a model, decoded in one way."""
    classes = work == "classes"
    model = run.model("mobilenet") if classes else str(SIGNS)
    task = "image-classification" if classes else "object-detection"
    described = topology("image", model, task)
    described["source"]["images"] = {"decode": decode}
    count = run.count(_PICTURES)
    systems = [
        Streamer("streamer", described, **_EXACTLY),
        Streamer("streamer, librdkafka", described, client="librdkafka", **_EXACTLY),
        *peers(f"{work}-{decode}:{model}"),
    ]
    raw = ("raw_images", f"{work}-{decode}", model, str(count))
    figures = backlogs(run, name, systems, inputs.pictures(count), raw)
    for one in ("streamer", "streamer, librdkafka"):
        _beside(figures, systems, one)


def images(run: Run) -> None:
    """Pictures through a MobileNet, decoded whole."""
    pictures(run, "images", "classes", "exact")


def fast_images(run: Run) -> None:
    """The same, large pictures decoded at a part of their size."""
    pictures(run, "fast-images", "classes", "fast")


def boxes(run: Run) -> None:
    """Pictures through a small detector, decoded whole."""
    pictures(run, "boxes", "boxes", "exact")


def fast_boxes(run: Run) -> None:
    """The same, large pictures decoded at a part of their size."""
    pictures(run, "fast-boxes", "boxes", "fast")


def nothing(run: Run) -> None:
    """A model of no cost, beside the loop of either client."""
    described = nothing_of(run)
    systems = [
        Script("bare loop", "bare.py", role="floor"),
        Streamer("streamer at-least-once", described),
        Streamer("streamer", described, **_EXACTLY),
        Script("bare loop, librdkafka", "bare_librdkafka.py", role="floor"),
        Streamer("librdkafka at-least-once", described, client="librdkafka"),
        Streamer("librdkafka", described, client="librdkafka", **_EXACTLY),
    ]
    figures = backlogs(run, "nothing", systems, [b"x" * 100] * run.count(300_000))
    for name in ("streamer at-least-once", "streamer"):
        ratios = figures.ratios(name, "bare loop", "rate")
        figures.ask(f"{name} ÷ bare loop, no model", ratios, ">= 0.7")
    for name in ("at-least-once", ""):
        ratios = figures.ratios(f"librdkafka {name}".strip(), f"streamer {name}".strip(), "rate")
        figures.ask(f"librdkafka ÷ kafka-python, {name or 'exactly-once'}", ratios, ">= 2")


def delivery(run: Run) -> None:
    """Both guarantees at commits of 100 ms, with a model and with none that costs."""
    for name, described, values in (
        ("delivery, all-MiniLM-L6-v2", texts_of(run), inputs.texts(run.count(2000))),
        ("delivery, no model", nothing_of(run), [b"x" * 100] * run.count(300_000)),
    ):
        systems = [
            Streamer("at-least-once", described, commit_interval="100ms"),
            Streamer("exactly-once", described, commit_interval="100ms", **_EXACTLY),
        ]
        figures = backlogs(run, name, systems, values)
        ratios = figures.ratios("exactly-once", "at-least-once", "rate")
        figures.ask("exactly-once ÷ at-least-once", ratios, ">= 0.95")


def flat(run: Run) -> None:
    """What a record takes behind a long backlog and behind a short one, and memory."""
    system = Streamer("streamer", nothing_of(run), **_EXACTLY)
    sizes = {"little": run.count(_LITTLE), "much": run.count(_MUCH)}
    with Kafka() as kafka:

        def little(number: int) -> Turn:
            values = [b"x" * 100] * sizes["little"]
            found = [
                worked_off(kafka, system, values, f"flat.{number}.{again}").figures()
                for again in range(_OFTEN)
            ]
            return {key: median(one[key] for one in found) for key in found[0]}

        def much(number: int) -> Turn:
            found = worked_off(kafka, system, [b"x" * 100] * sizes["much"], f"flat.{number}")
            third = max(len(found.sizes) // 3, 1)
            mib = [size / _MIB for size in found.sizes]
            return found.figures() | {
                "first_tenths": found.arrivals.part(0.1, 0.3),
                "last_tenths": found.arrivals.part(0.8, 1.0),
                "memory_early": median(mib[:third]),
                "memory_middle": median(mib[third:-third] or mib),
                "memory_late": median(mib[-third:]),
            }

        names = {one: f"backlog of {sizes[one]:,}" for one in sizes}
        parts = [
            Part(names["little"], little, run.rounds),
            Part(names["much"], much, run.rounds),
        ]
        figures = rounds(run, "flat", parts)
    figures.notes["records"] = " and ".join(f"{size:,}" for size in sizes.values())
    longer = figures.ratios(names["little"], names["much"], "rate")
    figures.ask("time a record: much ÷ little", longer, "<= 1.05")
    figures.ask(
        "the same by processor time", figures.ratios(*reversed(names.values()), "cpu_ms"), "<= 1.05"
    )
    turns = figures.turns[names["much"]].values()
    late = [turn["first_tenths"] / turn["last_tenths"] for turn in turns]
    figures.ask("time a record: last fifth ÷ an early one", late, "<= 1.05")
    for part in ("early", "middle"):
        grown = [turn["memory_late"] / turn[f"memory_{part}"] for turn in turns]
        figures.ask(f"memory: last third ÷ {part} one", grown, "<= 1.05")


def _best_peer(figures: Figures, systems: list[System]) -> str:
    """Name the fastest peer of those that had a turn."""
    rates = {
        one.name: figures.median(one.name, "rate") or 0.0 for one in systems if one.role == "peer"
    }
    return max(rates, key=lambda name: rates[name], default="")


def _beside(figures: Figures, systems: list[System], own: str) -> None:
    """Note the ratios that are asked for of one of our own."""
    figures.ask(f"{own} ÷ raw", figures.ratios(own, "raw", "rate"), ">= 0.9")
    best = _best_peer(figures, systems)
    ratios = figures.ratios(own, best, "rate")
    figures.ask(f"{own} ÷ best peer ({best})", ratios, ">= 1.5")
    for one in systems:
        if one.role == "peer" and one.name != best:
            figures.notes[f"{own} ÷ {one.name}"] = [
                round(ratio, 3) for ratio in figures.ratios(own, one.name, "rate")
            ]

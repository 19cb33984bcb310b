"""`python -m benchmarks NAME…`: measures, in one run on one broker, what docs/performance.md says.

Rounds of all systems alternate, each system alone on the machine in its turn; ratios are formed
within a round, and their median is what counts. Peers take part whose environment is there:
`build/benchmarks/NAME` made of `benchmarks/peers/NAME.txt`. BENCHMARKS_ONLY names those that are to
take part, with commas between them.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks import inputs
from benchmarks.kafka import Kafka
from benchmarks.systems import Script, Streamer, System

_BUILD = Path("build/benchmarks")
_PATIENCE_S = 600.0
_LEAD = 6
"""One of so many records only fills the line."""


@dataclass
class Turn:
    """One system in one round."""

    rate: float
    cpu_ms: float
    broker_cpu_ms: float = 0.0


@dataclass
class Figures:
    """All turns of one benchmark; ratios are to the first system."""

    name: str
    turns: dict[str, list[Turn]] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """Give medians and ratios."""
        reference, *_ = self.turns.values()
        return {
            system: {
                "rate": median(turn.rate for turn in turns),
                "cpu_ms": median(turn.cpu_ms for turn in turns),
                "broker_cpu_ms": median(turn.broker_cpu_ms for turn in turns),
                "ratio": median(
                    turn.rate / other.rate for turn, other in zip(turns, reference, strict=True)
                ),
                "ratios": [
                    round(turn.rate / other.rate, 3)
                    for turn, other in zip(turns, reference, strict=True)
                ],
            }
            for system, turns in self.turns.items()
        }


def answered(kafka: Kafka, system: System, values: Sequence[bytes], tag: str) -> Turn:
    """Let a system answer records that lie in its topic before it starts."""
    tag = re.sub(r"[^\w.-]+", "-", tag)
    source, sink = kafka.topic(f"{tag}.in"), kafka.topic(f"{tag}.out")
    kafka.fill(source, values, inputs.keys(len(values)))
    with system.running(kafka.servers, source, sink):
        own, broker = _cpu_s(system.pid), _cpu_s(kafka.pid)
        arrivals = kafka.arrivals(sink, len(values), _PATIENCE_S)
        each = 1000 / len(values)
        used, brokers = _cpu_s(system.pid) - own, _cpu_s(kafka.pid) - broker
    return Turn(arrivals.rate(len(values) // _LEAD), used * each, brokers * each)


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def raw(module: str, *arguments: str) -> dict[str, Any]:
    """Run a loop in memory, in a process of its own."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603 - ours
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measured(
    name: str,
    systems: Sequence[System],
    values: Sequence[bytes],
    rounds: int,
    alone: Sequence[str] = (),
) -> Figures:
    """Let systems take turns; `alone` names the loop in memory that goes before them."""
    figures = Figures(name)
    arguments = list(alone)
    wanted = os.environ.get("BENCHMARKS_ONLY", "").split(",")
    systems = [one for one in systems if one.name in wanted or wanted == [""]]
    with Kafka() as kafka:
        for number in range(rounds):
            if arguments:
                found = raw(*arguments)
                if "plan" in found and len(arguments) == len(alone):
                    arguments.append(found["plan"])
                figures.turns.setdefault("raw", []).append(Turn(found["rate"], found["cpu_ms"]))
            for system in systems:
                turn = answered(kafka, system, values, f"{name}.{system.name}.{number}")
                figures.turns.setdefault(system.name, []).append(turn)
                _say(f"{name} {number + 1}/{rounds} {system.name}: {turn.rate:,.0f}/s")
    return figures


def text(models: Path, rounds: int, scale: float) -> Figures:
    """Texts of mixed lengths through all-MiniLM-L6-v2, fp32."""
    model = str(models / "minilm")
    count = int(3000 * scale)
    topology = _topology("text", model, "feature-extraction")
    systems: list[System] = [
        Streamer("streamer", {**topology, "delivery": "exactly-once"}),
        Streamer("streamer at-least-once", topology),
        *(Script(f"loop, {mode}", "naive.py", sys.executable, model, mode) for mode in _LOOPS),
    ]
    for peer in ("quix", "bytewax_flow", "torch_loop"):
        python = _BUILD / peer / "bin" / "python"
        if python.exists():
            own = [] if peer == "torch_loop" else [model]
            systems.append(Script(peer, f"{peer}.py", str(python), *own))
    return measured("text", systems, inputs.texts(count), rounds, ("raw_text", model, str(count)))


def images(models: Path, rounds: int, scale: float, decode: str = "exact") -> Figures:
    """JPEGs of 0.1 to 12 megapixels through a MobileNet, decoded whole."""
    model = str(models / "mobilenet")
    count = int(400 * scale)
    topology = _topology("image", model, "image-classification")
    topology["source"]["images"] = {"decode": decode}
    systems = [Streamer("streamer", {**topology, "delivery": "exactly-once"})]
    alone = ("raw_images", model, str(count), decode, "8")
    return measured(f"images-{decode}", systems, inputs.pictures(count), rounds, alone)


def fast_images(models: Path, rounds: int, scale: float) -> Figures:
    """The same, large pictures decoded at a part of their size."""
    return images(models, rounds, 2 * scale, "fast")


def nothing(models: Path, rounds: int, scale: float) -> Figures:
    """A model of no cost, beside the client's own loop."""
    topology = _topology("text", str(models / "nothing"), "text-classification")
    systems = [
        Script("bare loop", "bare.py", sys.executable),
        Streamer("streamer at-least-once", topology),
        Streamer("streamer", {**topology, "delivery": "exactly-once"}),
    ]
    return measured("nothing", systems, [b"x" * 100] * int(100_000 * scale), rounds)


_LOOPS = ("single", "polled", "sorted")
_BENCHMARKS = {"text": text, "images": images, "fast-images": fast_images, "nothing": nothing}


def _topology(kind: str, model: str, task: str) -> dict[str, Any]:
    return {
        "source": {"format": kind},
        "models": {"model": {"uri": str(Path(model).absolute())}},
        "steps": {"step": {"model": "model", "task": task}},
    }


def _say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")


def _table(figures: Mapping[str, Any]) -> str:
    lines = ["| benchmark | system | records/s | ratio | CPU ms a record | broker's |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    lines += [
        f"| {name} | {system} | {told['rate']:,.0f} | {told['ratio']:.2f} | "
        f"{told['cpu_ms']:.3f} | {told['broker_cpu_ms']:.3f} |"
        for name, systems in figures.items()
        for system, told in systems.items()
    ]
    return "\n".join(lines)


def main() -> None:
    """Run benchmarks; write results as JSON and as a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*_BENCHMARKS, []], default=[])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--scale",
        type=float,
        default=1.0,
        help="records, as a multiple; below 1 rates are of a few waves only",
    )
    parser.add_argument("--models", type=Path, default=_BUILD / "models")
    parser.add_argument("--out", type=Path, default=_BUILD / "results.json")
    given = parser.parse_args()
    results: dict[str, Any] = {}
    for name in given.names or _BENCHMARKS:
        results[name] = _BENCHMARKS[name](given.models, given.rounds, given.scale).told()
    machine = {"cores": os.cpu_count(), "machine": platform.processor() or platform.machine()}
    load = dict(zip(("1m", "5m", "15m"), os.getloadavg(), strict=True))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine, "load": load, "rounds": given.rounds, "results": results}
    given.out.write_text(json.dumps(content, indent=2))
    print(_table(results))


if __name__ == "__main__":
    main()

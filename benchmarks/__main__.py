"""`python -m benchmarks NAME…`: measures, in one run on one machine, what docs/performance.md says.

Rounds of all systems alternate, each system alone on the machine in its turn; ratios are formed
within a round, and their median is what counts. Peers take part whose environment is there (`python
-m benchmarks.environments`). Results are written after every turn, so that an interrupted run keeps
what it has measured; benchmarks that are not named keep the results of earlier runs.
"""

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from benchmarks import backlogs, latency
from benchmarks.report import RESULTS, report
from benchmarks.results import Results
from benchmarks.systems import BUILD, python_of
from benchmarks.turns import FAILURES, Run, say
from streamer.errors import StreamerError

BENCHMARKS: dict[str, Callable[[Run], None]] = {
    "text": backlogs.text,
    "images": backlogs.images,
    "fast-images": backlogs.fast_images,
    "boxes": backlogs.boxes,
    "fast-boxes": backlogs.fast_boxes,
    "nothing": backlogs.nothing,
    "delivery": backlogs.delivery,
    "latency": latency.latency,
    "idle": latency.idle,
    "flat": backlogs.flat,
}

_INTERRUPTED = 130


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], default=[])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--peer-rounds", type=int, help="rounds with the peers, if fewer")
    parser.add_argument(
        "--scale",
        type=float,
        default=1.0,
        help="records, as a multiple; below 1 rates are of a few waves only",
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="SYSTEM", help="leave out all others"
    )
    parser.add_argument(
        "--add", action="store_true", help="add rounds to those of an earlier run, same --scale"
    )
    parser.add_argument("--models", type=Path, default=BUILD / "models")
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> int:
    """Run benchmarks; write results as JSON and as a table, and draw them."""
    given = _given()
    results = Results(given.out, given.rounds, given.scale, add=given.add)
    _interrupted_by_signals(results)
    peer_rounds = given.rounds if given.peer_rounds is None else given.peer_rounds
    run = Run(results, given.rounds, peer_rounds, given.scale, frozenset(given.only), given.models)
    try:
        for name in given.names or BENCHMARKS:
            if not results.interrupted:
                _run(BENCHMARKS[name], run, name)
                results.write()
    except KeyboardInterrupt:
        say("interrupted: what was measured is kept")
    results.write()
    told = report(results.content())
    given.out.with_suffix(".md").write_text(told)
    print(told)
    if python := python_of("plots"):
        command = [str(python), "-m", "benchmarks.plots", str(given.out), str(given.out.parent)]
        subprocess.run(command, check=True)  # noqa: S603 - ours
    else:
        say("no plots: python -m benchmarks.environments plots")
    return _INTERRUPTED if results.interrupted else 0


def _run(benchmark: Callable[[Run], None], run: Run, name: str) -> None:
    """Run a benchmark; one that cannot be run does not stop the others."""
    try:
        benchmark(run)
    except (*FAILURES, StreamerError) as error:
        if run.results.interrupted:
            raise KeyboardInterrupt from error
        run.results.of(name).failed["the benchmark"] = [str(error)]
        say(f"{name} FAILED: {error}")


def _interrupted_by_signals(results: Results) -> None:
    """Let SIGTERM and Ctrl-C end the run, once: what follows is soon over, and is not to be broken.

    Ctrl-C is set, too, since a shell's background jobs begin with it ignored.
    """
    both = (signal.SIGTERM, signal.SIGINT)

    def interrupt(*_: object) -> NoReturn:
        for number in both:
            signal.signal(number, signal.SIG_IGN)
        results.interrupted = True
        raise KeyboardInterrupt

    for number in both:
        signal.signal(number, interrupt)


if __name__ == "__main__":
    sys.exit(main())

"""Hours of faults in little time: `make soak`, or `python -m faults.soak --minutes 30`.

Three daemons answer a steady load on a broker that they reach through a proxy, in both delivery
modes at once, while at random moments daemons are killed, ended, frozen and started, the network
is cut and the broker is restarted. Then every record is counted.
"""

import argparse
import os
import platform
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from support.daemon import Daemon

from faults.flow import Flow, Site
from faults.ledger import Verdict
from faults.proxied import proxied
from faults.proxy import Mode, Proxy
from faults.watch import Ends
from streamer.embedded import EmbeddedKafka

_MODES: tuple[Mode, ...] = ("stall", "reset", "halve")
_RECOVERED_S = 30
_PATIENCE_S = 90


@dataclass
class Soak:
    """A run under way."""

    kafka: EmbeddedKafka
    proxy: Proxy
    flows: list[Flow]
    chance: random.Random
    running: dict[str, list[Daemon]] = field(default_factory=dict)
    recovered_s: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    rss_mb: list[float] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)

    def start(self) -> None:
        """Start two daemons a flow, and wait for their first answers."""
        for flow in self.flows:
            self.running[flow.name] = [flow.daemon(delay_ms=1) for _ in range(2)]
        for flow in self.flows:
            flow.at_work(patience=_PATIENCE_S)

    def harm(self) -> None:
        """Do one thing at random, mend it, and wait until all partitions are answered again."""
        time.sleep(self.chance.uniform(1, 8))
        fault: Callable[[], str] = self.chance.choice(
            [self._kill, self._kill, self._end, self._freeze, self._cut, self._cut, self._outage]
        )
        kind = fault()
        self._look_after()
        mended = time.monotonic()
        behind = [(flow, flow.watch.ends()) for flow in self.flows]
        again = max(self._answered_again(kind, flow, ends) for flow, ends in behind)
        self.recovered_s[kind].append(again - mended)
        self._look_after()
        told = f"{datetime.now(UTC):%H:%M:%S} {kind}: answered again {again - mended:.1f} s later"
        sys.stdout.write(f"{told}, {self.rss_mb[-1]:.0f} MiB\n")
        sys.stdout.flush()

    def _answered_again(self, kind: str, flow: Flow, ends: Ends) -> float:
        """Wait until a flow is at work; one that is not in time is noted, and begun anew."""
        try:
            return flow.at_work(ends, _PATIENCE_S)
        except AssertionError:
            self.stuck.append(f"{kind}: {flow.delivery}")
            for daemon in self.running[flow.name]:
                sys.stdout.write(f"stuck after {kind}: {daemon.text[-3000:]}\n")
                sys.stdout.write(f"{daemon.status(flow.name)}\n")
                daemon.kill()
            self.running[flow.name] = [flow.daemon(delay_ms=1) for _ in range(2)]
            return flow.at_work(patience=_PATIENCE_S)

    def _kill(self) -> str:
        flow, daemon = self._one()
        daemon.kill()
        self._replace(flow, daemon)
        return "kill -9 of a daemon"

    def _end(self) -> str:
        flow, daemon = self._one()
        code = daemon.stop(90)
        assert code == 0, f"SIGTERM ended with {code}: {daemon.text[-3000:]}"
        self._replace(flow, daemon)
        return "SIGTERM of a daemon"

    def _freeze(self) -> str:
        _, daemon = self._one()
        daemon.process.send_signal(signal.SIGSTOP)
        time.sleep(self.chance.uniform(4, 10))
        daemon.process.send_signal(signal.SIGCONT)
        return "SIGSTOP beyond the session"

    def _cut(self) -> str:
        mode = self.chance.choice(_MODES)
        self.proxy.set(mode)
        time.sleep(self.chance.uniform(1, 10))
        self.proxy.set("pass")
        return f"network: {mode}"

    def _outage(self) -> str:
        self.kafka.stop()
        time.sleep(self.chance.uniform(0, 3))
        self.kafka.start()
        return "restart of the broker"

    def _one(self) -> tuple[Flow, Daemon]:
        flow = self.chance.choice(self.flows)
        return flow, self.chance.choice(self.running[flow.name])

    def _replace(self, flow: Flow, daemon: Daemon) -> None:
        self.running[flow.name].remove(daemon)
        self.running[flow.name].append(flow.daemon(delay_ms=1))

    def _look_after(self) -> None:
        """Replace daemons that ended by themselves, as a supervisor would; note their memory."""
        for flow in self.flows:
            for daemon in list(self.running[flow.name]):
                code = daemon.process.poll()
                if code is not None:
                    self.ended.append(code)
                    sys.stdout.write(f"a daemon ended with {code}: {daemon.text[-6000:]}\n")
                    self._replace(flow, daemon)
        self.rss_mb.append(max(d.rss_mb() for running in self.running.values() for d in running))


def run(minutes: float, rate: float, seed: int, folder: Path) -> tuple[Soak, list[Verdict]]:
    """Run for so long, then count."""
    with ExitStack() as opened:
        direct, shown, proxy, kafka = opened.enter_context(proxied(folder / "broker"))
        site = opened.enter_context(Site(direct, folder, reached=shown))
        flows = [
            opened.enter_context(Flow(site, delivery, partitions=4))
            for delivery in ("exactly-once", "at-least-once")
        ]
        soak = Soak(kafka, proxy, flows, random.Random(seed))
        for flow in flows:
            flow.load(rate)
        try:
            soak.start()
            until = time.monotonic() + minutes * 60
            while time.monotonic() < until:
                soak.harm()
            return soak, [flow.finished() for flow in flows]
        except BaseException:
            traceback.print_exc()  # before all that runs is ended
            raise


def report(soak: Soak, verdicts: list[Verdict], seed: int, took_s: float) -> str:
    """Write what came out."""
    faults = sum(map(len, soak.recovered_s.values()))
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    head = f"{datetime.now(UTC):%Y-%m-%d}, {took_s / 60:.0f} minutes, {faults} faults"
    lines = [
        f"{head}, seed {seed}, {machine}.",
        "",
        "| delivery | records | answered | lost | twice | out of order | changed | aborted |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {flow.delivery} | {one.records} | {one.predictions + len(one.letters)} | "
        f"{len(one.missing)} | {one.duplicates} | {one.disorder} | {len(one.wrong)} | "
        f"{one.aborted} |"
        for flow, one in zip(soak.flows, verdicts, strict=True)
    ]
    lines += [
        "",
        "| fault | times | answered again after it ended: median | longest |",
        "| --- | --- | --- | --- |",
    ]
    for kind, found in sorted(soak.recovered_s.items()):
        median = sorted(found)[len(found) // 2]
        lines.append(f"| {kind} | {len(found)} | {median:.1f} s | {max(found):.1f} s |")
    third = max(len(soak.rss_mb) // 3, 1)
    early, late = max(soak.rss_mb[:third]), max(soak.rss_mb[-third:])
    lines += ["", f"Largest daemon: {early:.0f} MiB in the first third, {late:.0f} in the last."]
    if soak.stuck:
        lines += ["", f"Not answered again within {_PATIENCE_S} s: {'; '.join(soak.stuck)}."]
    if soak.ended:
        lines += ["", f"Ended by themselves, with exit codes: {soak.ended}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run, print the report, fail if a guarantee did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=60, help="records a second in each flow")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--report", type=Path, help="file that the report is written to")
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="streamer-soak-") as folder:
        soak, verdicts = run(given.minutes, given.rate, given.seed, Path(folder))
    written = report(soak, verdicts, given.seed, time.monotonic() - began)
    sys.stdout.write(f"\n{written}")
    if given.report is not None:
        given.report.write_text(written)
    slow = [one for found in soak.recovered_s.values() for one in found if one > _RECOVERED_S]
    exactly, at_least = verdicts
    if not exactly.exactly_once or not at_least.at_least_once or slow:
        sys.exit(f"exactly-once: {exactly}; at-least-once: {at_least}; slow: {slow}")


if __name__ == "__main__":
    main()

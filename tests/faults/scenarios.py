"""The faults themselves, each as long as it is asked for; tests and `soak` judge what comes out."""

import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from kafka.errors import KafkaError
from support.daemon import Daemon
from support.waiting import eventually

from faults.flow import Delivery, Flow, Site, flowing, left
from faults.ledger import Crash, Verdict, repeated
from faults.proxy import Mode, Proxy
from streamer.embedded import EmbeddedCluster

_OPEN_S = 5.0
_WITHIN = 0.8
_ARRIVES_S = 0.3
_UNDER_WAY_S = 1.5
"""What a process has sent has arrived and is done by then; below the session timeout."""
_OTHERS_S = 1.0
"""What others have open is committed by then, and their next is begun."""


@dataclass
class Outcome:
    """What a scenario showed.

    Attributes:
        faults: how many there were.
        in_flight: how many provably hit work in flight.
        recovered_s: for each fault, seconds until every partition was answered again.
        unexplained: repeated answers that no crash explains.
        notes: what else was seen.
    """

    name: str
    delivery: Delivery
    verdict: Verdict
    faults: int = 0
    in_flight: int = 0
    recovered_s: list[float] = field(default_factory=list)
    unexplained: int = 0
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        times = sorted(self.recovered_s) or [0.0]
        return (
            f"{self.name}, {self.delivery}: {self.faults} faults, {self.in_flight} in flight; "
            f"{self.verdict}; unexplained {self.unexplained}; answered again after "
            f"{times[len(times) // 2]:.1f} s, longest {times[-1]:.1f} s; {'; '.join(self.notes)}"
        )

    def require(self) -> None:
        """Fail unless the guarantee held."""
        held = self.verdict.exactly_once
        if self.delivery == "at-least-once":
            held = self.verdict.at_least_once and not self.unexplained
        assert held, f"{self.verdict}; unexplained {self.unexplained}"
        assert self.verdict.records, "there were no records"


def kills(
    site: Site,
    delivery: Delivery,
    *,
    times: int,
    in_flight: int,
    records: int,
    rate: float,
    seed: int = 0,
) -> Outcome:
    """Kill the only daemon at random moments, and start another one each time."""
    chance = random.Random(seed)
    crashes: list[Crash] = []
    doubts: list[int] = []
    recovered: list[float] = []
    with flowing(site, delivery, rate=rate) as (flow, load):
        daemon = flow.daemon()
        flow.at_work()
        while len(crashes) < times or sum(map(bool, doubts)) < in_flight:
            assert len(crashes) < 4 * times, f"only {doubts} of the kills hit work in flight"
            _random_moment(flow, daemon, chance)
            at = time.monotonic()
            daemon.kill()
            doubts.append(len(flow.watch.in_doubt()) if delivery == "exactly-once" else 1)
            crashes.append(flow.crash())
            daemon = flow.daemon()
            if len(crashes) % 5 == 4:  # the next kill meets it while it starts or joins
                time.sleep(chance.uniform(0.5, 5))
            else:
                recovered.append(flow.at_work(crashes[-1].ends) - at)
        load.wait_for(records)
        found = flow.finished()
    by_crash, unexplained = repeated(found, crashes)
    hit = sum(map(bool, doubts)) if delivery == "exactly-once" else sum(map(bool, by_crash))
    notes = [f"{found.aborted} aborted records", f"answered again by kill: {by_crash}"]
    return Outcome("kill -9", delivery, found, len(crashes), hit, recovered, unexplained, notes)


def _random_moment(flow: Flow, daemon: Daemon, chance: random.Random) -> None:
    """Wait a random time; mostly, where there are transactions, stop the process within one.

    A process that is stopped before it is killed does nothing in between: what is open when it
    stops is open when it dies, and looking on is never too late.
    """
    time.sleep(chance.uniform(0, 1.5))
    if flow.delivery == "at-least-once" or chance.random() > _WITHIN:
        return
    deadline = time.monotonic() + _OPEN_S
    while time.monotonic() < deadline and daemon.process.poll() is None:
        if flow.watch.in_doubt():
            daemon.process.send_signal(signal.SIGSTOP)
            time.sleep(_ARRIVES_S)
            if flow.watch.in_doubt():
                return
            daemon.process.send_signal(signal.SIGCONT)


def comings(
    site: Site, delivery: Delivery, *, times: int, rate: float, gentle: float = 0.5, seed: int = 0
) -> Outcome:
    """Let three daemons of one group come and go, some gently and some by kill -9."""
    chance = random.Random(seed)
    crashes: list[Crash] = []
    recovered: list[float] = []
    gone = 0
    with flowing(site, delivery, rate=rate, partitions=6) as (flow, _):
        running = [flow.daemon() for _ in range(3)]
        flow.at_work()
        for _ in range(times):
            leaving = running.pop(chance.randrange(len(running)))
            at = time.monotonic()
            if chance.random() < gentle:
                leaving.process.send_signal(signal.SIGTERM)
                ends = flow.watch.ends()
                gone += 1
                if chance.random() < 0.5:
                    left(leaving)
            else:
                leaving.kill()
                crashes.append(flow.crash())
                ends = crashes[-1].ends
            running.append(flow.daemon())
            if chance.random() < 0.7:
                recovered.append(flow.at_work(ends) - at)
            else:
                time.sleep(chance.uniform(0, 3))
        for daemon in flow.daemons:
            if daemon not in running and daemon.process.poll() != -signal.SIGKILL:
                left(daemon)
        found = flow.finished()
    by_crash, unexplained = repeated(found, crashes)
    notes = [f"{gone} left gently", f"{found.aborted} aborted records", f"again: {by_crash}"]
    name = "three daemons come and go"
    return Outcome(name, delivery, found, times, 0, recovered, unexplained, notes)


def zombies(site: Site, *, times: int, rate: float) -> Outcome:
    """Freeze a daemon in the middle of a transaction until another has its partitions; wake it."""
    recovered: list[float] = []
    refused = 0
    with flowing(site, "exactly-once", rate=rate) as (flow, _):
        zombie = flow.daemon()
        flow.at_work()
        for _ in range(times):
            heir = flow.daemon().ready()
            eventually(lambda: heir.status(flow.name)["assignment"], "the heir has its share")  # noqa: B023
            flow.at_work()  # what the heir's coming made fail is settled: none of it is met below
            _freeze_in_transaction(flow, zombie)
            at = time.monotonic()
            ends = flow.watch.ends()
            recovered.append(flow.at_work(ends) - at)  # the heir has all of the partitions
            said = len(_refusals(zombie))
            zombie.process.send_signal(signal.SIGCONT)
            eventually(lambda: len(_refusals(zombie)) > said, "the zombie is refused", 90)  # noqa: B023
            refused += 1
            zombie.ready()
            assert heir.stop() == 0
        found = flow.finished()
    notes = [f"{refused} seen to try and be refused", f"{found.aborted} aborted records"]
    return Outcome(
        "SIGSTOP beyond the session", "exactly-once", found, times, times, recovered, 0, notes
    )


def _freeze_in_transaction(flow: Flow, daemon: Daemon) -> None:
    """Stop a process that has sent what it has not committed: the broker says so.

    A commit that was on its way when the process stopped would be carried out meanwhile, and what
    others have open is committed within moments: only a transaction of its own stays where it is.
    """
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if not flow.watch.in_doubt():
            continue
        daemon.process.send_signal(signal.SIGSTOP)
        time.sleep(_UNDER_WAY_S)
        before = flow.watch.in_doubt()
        time.sleep(_OTHERS_S)
        if before.items() & flow.watch.in_doubt().items():
            return
        daemon.process.send_signal(signal.SIGCONT)
    raise AssertionError("no transaction was seen open")


def _refusals(daemon: Daemon) -> list[str]:
    return [line for line in daemon.text.splitlines() if "transaction failed" in line]


def cuts(
    site: Site,
    proxy: Proxy,
    delivery: Delivery,
    *,
    modes: Sequence[Mode],
    rate: float,
    lasts: float,
) -> Outcome:
    """Harm the network between daemon and broker, each way for a while, and mend it."""
    recovered: list[float] = []
    with flowing(site, delivery, rate=rate) as (flow, _):
        flow.daemon()
        flow.at_work()
        for mode in modes:
            harmed = proxy.harmed
            proxy.set(mode)
            eventually(lambda: proxy.harmed > harmed, f"{mode} does harm")  # noqa: B023
            time.sleep(lasts)
            ends = flow.watch.ends()
            proxy.set("pass")
            at = time.monotonic()
            recovered.append(flow.at_work(ends) - at)
            flow.daemons[-1].alive()
        found = flow.finished()
    _, unexplained = repeated(found, [])
    notes = [f"{', '.join(modes)}, {lasts:.0f} s each", f"{found.aborted} aborted records"]
    if delivery == "at-least-once":  # what a cut left unacknowledged or uncommitted comes again
        notes.append(f"{unexplained} answered again")
    return Outcome("network cut", delivery, found, len(modes), 0, recovered, 0, notes)


def outages(
    site: Site, cluster: EmbeddedCluster, delivery: Delivery, *, rounds: int, rate: float
) -> Outcome:
    """Kill the brokers of a cluster in turn under load, and start each again."""
    recovered: list[float] = []
    with flowing(site, delivery, rate=rate) as (flow, _):
        flow.daemon()
        flow.at_work()
        for node in [*cluster.nodes] * rounds:
            ends = flow.watch.ends()
            at = time.monotonic()
            cluster.nodes[node].kill()
            recovered.append(flow.at_work(ends) - at)
            flow.daemons[-1].alive()
            cluster.start_node(node)
            eventually(lambda: _in_sync(site, flow), "all replicas are in sync", 120, every=0.5)
        found = flow.finished()
    _, unexplained = repeated(found, [])
    notes = [f"{found.aborted} aborted records"]
    if delivery == "at-least-once":
        notes.append(f"{unexplained} answered again")
    faults = rounds * len(cluster.nodes)
    return Outcome("brokers killed in turn", delivery, found, faults, 0, recovered, 0, notes)


def _in_sync(site: Site, flow: Flow) -> bool:
    try:
        found = site.admin.describe_topics([flow.source, flow.sink, flow.letters])
    except KafkaError:
        return False
    places = [place for entry in found for place in entry["partitions"]]
    return all(len(place["isr_nodes"]) == len(place["replica_nodes"]) for place in places)

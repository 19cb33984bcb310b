"""`streamer demo`: broker, topics, models, topologies and traffic in one process."""

import signal
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count, cycle, islice
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import monotonic, sleep

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from streamer.broker import Admin, Producer, Reader, partition_for, wait_for_brokers
from streamer.config import Settings
from streamer.config.settings import HttpSettings
from streamer.dashboard import Board, served
from streamer.demo import traffic
from streamer.demo.collect import Collector
from streamer.demo.loop import Loop, Prepared, missing, prepared, running
from streamer.demo.summary import details, summary, totals
from streamer.demo.traffic import Sample, sample_traffic
from streamer.embedded import EmbeddedKafka
from streamer.errors import StreamerError
from streamer.pipeline import Daemon
from streamer.telemetry import configure

_HERE = Path(__file__).parent
_TOPOLOGIES = [
    _HERE / "topologies" / f"{name}.yaml" for name in ("street", "intents", "similarity")
]
_INTENTS = 1
_PARTITIONS = 4
_TICK_S = 0.2
_A_TICK = 8
_BAD_EVERY = 40
_ANSWER_WITHIN_S = 120.0
_START_WITHIN_S = 120.0


def run_demo(settings: Settings, *, once: bool, console: Console | None = None) -> int:
    """Run the demo; give the exit code (0: every record came back exactly once).

    Args:
        settings: with `kafka.bootstrap_servers` set that cluster is used, else an embedded one.
        once: answer the sample traffic and end; else go on until interrupted.
        console: where to print.
    """
    console = console or Console()
    if "level" not in settings.log.model_fields_set:
        configure(settings.log.format, "ERROR")  # the summary tells what the log would
    with ExitStack() as stack:
        settings = stack.enter_context(_broker(settings, console))
        settings = settings.model_copy(
            update={"models": settings.models.model_copy(update={"dir": _HERE})}
        )
        page = settings.http  # the page is where one looks; the daemon's own endpoints move aside
        settings = settings.model_copy(update={"http": page.model_copy(update={"port": 0})})
        learns = None if once else stack.enter_context(_learns(settings, console))
        topologies = list(_TOPOLOGIES)
        if learns is not None:
            settings = learns.settings
            topologies[_INTENTS] = learns.intents
        daemon = Daemon(topologies, settings)
        topics = _outputs(daemon)
        _create_topics(settings, [*topics, *topics.values(), *(learns.topics if learns else ())])
        stack.enter_context(_running(daemon, console))
        reader = stack.enter_context(Reader(settings.kafka))
        partitions = [p for topic in topics for p in reader.partitions(topic)]
        reader.assign(partitions, at_end=True)
        collector = Collector(reader, topics)
        if once:
            return _once(settings, daemon, collector, console)
        stack.enter_context(_page(daemon, settings, page, console))
        loop = None if learns is None else stack.enter_context(running(learns, console))
        return _on_and_on(settings, daemon, collector, console, loop)


@contextmanager
def _broker(settings: Settings, console: Console) -> Iterator[Settings]:
    """Give settings that lead to a broker: the one that is named, or an embedded one."""
    if "bootstrap_servers" in settings.kafka.model_fields_set:
        console.print(f"Kafka: {settings.kafka.bootstrap_servers}")
        wait_for_brokers(settings.kafka, give_up_after=10.0)
        yield settings
        return
    console.print("Kafka: starting an embedded Apache Kafka …")
    began = monotonic()
    with EmbeddedKafka(port=0) as kafka:
        console.print(f"Kafka: {kafka.bootstrap_servers}, up in {monotonic() - began:.1f} s")
        reached = settings.kafka.model_copy(update={"bootstrap_servers": kafka.bootstrap_servers})
        yield settings.model_copy(update={"kafka": reached})


def _outputs(daemon: Daemon) -> dict[str, str]:
    """Give, by output topic, the input topic whose records end there."""
    topics = {}
    for _, topology in daemon.topologies:
        for topic in (topology.sink.topic, topology.deadletter_topic):
            topics[topic] = topology.source.topics[0]
    return topics


def _create_topics(settings: Settings, topics: Iterable[str]) -> None:
    with Admin(settings.kafka) as admin:
        for topic in sorted(set(topics)):
            admin.create(topic, _PARTITIONS)


@contextmanager
def _learns(settings: Settings, console: Console) -> Iterator[Prepared | None]:
    """Let `intents` begin with a version that knows little, where a sidecar can teach it more."""
    absent = missing()
    if absent is not None:
        console.print(f"Nothing is learnt: {absent} missing; pip install 'streamer[cpu,retrain]'")
        yield None
        return
    alone = "bootstrap_servers" not in settings.kafka.model_fields_set
    with TemporaryDirectory(prefix="streamer-demo-") as folder:
        yield prepared(settings, _HERE, Path(folder), "" if alone else f"-{token_hex(4)}")


@contextmanager
def _running(daemon: Daemon, console: Console) -> Iterator[None]:
    """Run the daemon in a thread beside the traffic."""
    failed: list[BaseException] = []

    def work() -> None:
        try:
            daemon.run()
        except BaseException as error:  # noqa: BLE001 - raised where the demo waits
            failed.append(error)

    thread = Thread(target=work, name="daemon", daemon=True)
    began = monotonic()
    thread.start()
    try:
        while not daemon.ready()[0]:
            if failed:
                raise failed[0]
            if monotonic() - began > _START_WITHIN_S:
                message = f"the daemon is not ready after {_START_WITHIN_S:.0f} s"
                raise StreamerError(message)
            sleep(0.05)
        console.print(f"Daemon: {len(_TOPOLOGIES)} topologies ready in {monotonic() - began:.1f} s")
        yield
        if failed:
            raise failed[0]
    finally:
        daemon.stop()
        thread.join(timeout=60)


@contextmanager
def _page(
    daemon: Daemon, settings: Settings, http: HttpSettings, console: Console
) -> Iterator[None]:
    """Serve the live page."""
    urls = [daemon.endpoints.url] if daemon.endpoints.url is not None else []
    with Board(settings, urls) as board, served(settings, board, http) as page:
        console.print(f"Live page: {page.url}")
        yield


def _send(producer: Producer, sample: Sample, number: int, partitions: dict[str, int]) -> None:
    producer.append(
        sample.record(number), partition_for(sample.record(number), partitions[sample.topic], "key")
    )


def _once(settings: Settings, daemon: Daemon, collector: Collector, console: Console) -> int:
    """Send the sample traffic, wait until all of it has come back, print the summary."""
    samples = sample_traffic(photo_count=150, message_count=1500, pair_count=300)
    producer = Producer(settings.kafka)
    partitions = {sample.topic: producer.partitions(sample.topic) for sample in samples}
    console.print(
        f"Traffic: {len(samples)} records, {len(traffic.bad_ones())} of them bad on purpose"
    )
    began = monotonic()
    for number, sample in enumerate(samples):
        collector.sent_at[number] = monotonic()
        _send(producer, sample, number, partitions)
    producer.flush()
    while collector.missing and monotonic() - began < _ANSWER_WITHIN_S:
        collector.poll(0.05)
    took = monotonic() - began
    producer.close()
    console.print(summary(collector, samples, daemon.status(), took))
    console.print(details(collector, daemon.status()))
    return totals(collector, samples, console)


def _on_and_on(
    settings: Settings,
    daemon: Daemon,
    collector: Collector,
    console: Console,
    loop: Loop | None,
) -> int:
    """Send a steady stream and show what comes back, until interrupted."""
    ended = Event()
    previous = signal.signal(signal.SIGTERM, lambda *_: ended.set())
    producer = Producer(settings.kafka)
    partitions = {
        topic: producer.partitions(topic)
        for topic in (traffic.PHOTOS, traffic.MESSAGES, traffic.PAIRS)
    }
    began = monotonic()
    console.print("Traffic: a steady stream; Ctrl-C ends it")
    try:
        with Live(Table(), console=console, refresh_per_second=2) as live:
            for number, sample in enumerate(_stream()):
                if ended.is_set():
                    break
                collector.sent_at[number] = monotonic()
                if loop is not None:
                    loop.sent(number, sample)
                _send(producer, sample, number, partitions)
                if number % _A_TICK == 0:
                    _take(collector, loop)
                    table = summary(collector, [], daemon.status(), monotonic() - began)
                    live.update(table if loop is None else Group(table, loop.table()))
    except KeyboardInterrupt:
        console.print("ending …")
    finally:
        signal.signal(signal.SIGTERM, previous)
        producer.close()
    if loop is not None:
        console.print(loop.summary())
    return 0


def _stream() -> Iterator[Sample]:
    """Give the steady stream: each tick a picture, a pair, messages, now and then a bad record."""
    photos, messages, pairs = traffic.photos(1), traffic.messages(1), traffic.pairs()
    bad = cycle(traffic.bad_ones())
    for tick in count(1):
        yield next(photos)
        yield next(pairs)
        yield next(bad) if tick % _BAD_EVERY == 0 else next(messages)
        yield from islice(messages, _A_TICK - 3)


def _take(collector: Collector, loop: Loop | None) -> None:
    """Take what comes for the time of a tick."""
    until = monotonic() + _TICK_S
    while monotonic() < until:
        for record in collector.poll(0.05):
            if loop is not None:
                loop.answered(record)
    if loop is not None:
        loop.poll()

"""What every test shares: where real models lie, how hypothesis searches, which skips are fine."""

import os
import signal
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:  # what needs no broker does not wait for a client to be imported
    from kafka.admin import KafkaAdminClient
    from support.daemon import Daemons
    from support.topics import Topics
    from support.world import World

ROOT = Path(__file__).resolve().parent.parent

# A skip whose reason starts otherwise is a test that silently stopped testing: --strict-skips
# makes the run fail for it.
EXPECTED_SKIPS = ("assets: ", "gpu: ", "platform: ")

# What tests need to be imported, by a word in their file's name.
_NEEDS = {"torch": "torch", "tensorflow": "tensorflow", "browser": "playwright"}

# One profile everywhere: no deadline, since machines are shared and JIT warm-ups differ; the
# example database only helps whoever debugs, so CI starts from the same seeds each time.
settings.register_profile(
    "default", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "default")

_skips: list[tuple[str, str]] = []


def pytest_configure() -> None:
    """Let the programs that tests start hear SIGINT; they don't where a shell runs us with `&`."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out `test_torch*.py`, `test_*_torch.py` and so on where there is no Torch to import.

    Their tests carry the marker of that name, so that `make test` would not run them anyway.
    """
    words = collection_path.stem.split("_")
    named = [module for word, module in _NEEDS.items() if word in words]
    return True if any(find_spec(module) is None for module in named) else None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--strict-skips",
        action="store_true",
        help=f"fail the run for a skip whose reason starts with none of {EXPECTED_SKIPS}",
    )


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        _skips.append((report.nodeid, _reason(report)))


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _skips.append((report.nodeid, _reason(report)))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if session.config.getoption("--strict-skips") and exitstatus == 0 and _unexpected():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    unexpected = _unexpected()
    terminalreporter.write_line(f"skips: {len(_skips)}, of them unexpected: {len(unexpected)}")
    if config.getoption("--strict-skips"):
        for nodeid, reason in unexpected:
            terminalreporter.write_line(f"unexpected skip: {nodeid}: {reason}", red=True)


def _unexpected() -> list[tuple[str, str]]:
    return [(nodeid, reason) for nodeid, reason in _skips if not reason.startswith(EXPECTED_SKIPS)]


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    _, _, reason = report.longrepr if isinstance(report.longrepr, tuple) else ("", 0, "")
    return reason.removeprefix("Skipped: ")


@pytest.fixture
def signals() -> Iterator[None]:
    """Give the signals back that a test's program takes."""
    names = ("SIGINT", "SIGTERM", "SIGALRM", "SIGUSR1")
    taken = {number: signal.getsignal(number) for number in map(signal.Signals.__getitem__, names)}
    yield
    for number, handler in taken.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def assets() -> Path:
    """Folder of real models and labelled data; tests that need it are skipped where it is not."""
    folder = Path(os.environ.get("STREAMER_TEST_ASSETS") or ROOT.parent / "shared" / "assets")
    if not folder.is_dir():
        pytest.skip(f"assets: {folder} is no folder (set STREAMER_TEST_ASSETS)")
    return folder


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address: STREAMER_TEST_BROKERS if set, else of an embedded Kafka on a free port."""
    from streamer.embedded import EmbeddedKafka

    named = os.environ.get("STREAMER_TEST_BROKERS")
    if named:
        yield named
        return
    with EmbeddedKafka(port=0, data_dir=tmp_path_factory.mktemp("broker")) as kafka:
        yield kafka.bootstrap_servers


@pytest.fixture(scope="session")
def kafka_admin(broker: str) -> "Iterator[KafkaAdminClient]":
    """Admin client of the session's broker."""
    from kafka.admin import KafkaAdminClient

    client = KafkaAdminClient(bootstrap_servers=broker)
    yield client
    client.close()


@pytest.fixture
def topics(broker: str, kafka_admin: "KafkaAdminClient") -> "Iterator[Topics]":
    """Makes, fills and reads topics; they go with the test."""
    from support.topics import Topics

    made = Topics(broker, kafka_admin)
    yield made
    made.close()


@pytest.fixture
def topic(topics: "Topics") -> Callable[..., str]:
    """Makes fresh topics: `topic(3)`, `topic(configs={"max.message.bytes": "1000"}, prefix="in")`.

    Each has a name nobody used before, a leader for every partition, and goes with its test.
    """
    return topics.make


@pytest.fixture
def daemons(broker: str, tmp_path: Path) -> "Iterator[Daemons]":
    """Starts daemons as child processes; those still running at the end are killed."""
    from support.daemon import Daemons

    started = Daemons(broker, tmp_path)
    yield started
    started.close()


@pytest.fixture
def world(topics: "Topics", daemons: "Daemons", broker: str, tmp_path: Path) -> "Iterator[World]":
    """Topics, a model that knows little, and the file of the sidecar that teaches it."""
    from support.world import World

    made = World(topics, daemons, broker, tmp_path)
    yield made
    made.close()

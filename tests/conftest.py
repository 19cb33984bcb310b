"""What every test shares: where real models lie, how hypothesis searches, which skips are fine."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# A skip whose reason starts otherwise is a test that silently stopped testing: --strict-skips
# makes the run fail for it.
EXPECTED_SKIPS = ("assets: ", "gpu: ", "platform: ")

# One profile everywhere: no deadline, since machines are shared and JIT warm-ups differ; the
# example database only helps whoever debugs, so CI starts from the same seeds each time.
settings.register_profile(
    "default", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "default")

_skips: list[tuple[str, str]] = []


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


@pytest.fixture(scope="session")
def assets() -> Path:
    """Folder of real models and labelled data; tests that need it are skipped where it is not."""
    folder = Path(os.environ.get("STREAMER_TEST_ASSETS") or ROOT.parent / "shared" / "assets")
    if not folder.is_dir():
        pytest.skip(f"assets: {folder} is no folder (set STREAMER_TEST_ASSETS)")
    return folder

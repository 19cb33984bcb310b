import json
import os
import shlex
import signal
import subprocess
import sys

import pytest
from typer.main import get_command

from streamer import __version__
from streamer.cli import app as app_module
from streamer.cli.app import main
from streamer.errors import BrokerError, ConfigError, DownloadError, ModelError

COMMANDS = [one.callback.__name__ for one in app_module.app.registered_commands]


def called(monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["streamer", *arguments])
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        main()
    signal.signal(signal.SIGTERM, before)  # of the tests' own process
    told = capsys.readouterr()
    code = ended.value.code
    return (0 if code is None else int(code)), told.out, told.err


def fails(error: BaseException):
    def failing(*_arguments, **_options):
        raise error

    return failing


def test_the_version_is_told(monkeypatch, capsys):
    assert called(monkeypatch, capsys, "--version")[:2] == (0, f"streamer {__version__}\n")


def test_every_command_has_a_help_page(monkeypatch, capsys):
    _, told, _ = called(monkeypatch, capsys, "--help")
    for command in COMMANDS:
        assert f" {command} " in told
        code, page, _ = called(monkeypatch, capsys, command, "--help")
        assert code == 0
        assert "Usage: streamer" in page


def pages(group, *names):
    """Give every command below, with its names."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from pages(command, *names, name)
        else:
            yield (*names, name), command


@pytest.mark.parametrize(
    ("names", "command"),
    [pytest.param(*found, id=" ".join(found[0])) for found in pages(get_command(app_module.app))],
)
def test_help_ends_with_examples_that_the_command_takes(names, command):
    title, *examples = command.epilog.splitlines()
    assert title.startswith("Example")
    for example in examples:
        words = shlex.split(example)
        assert words[: len(names) + 1] == ["streamer", *names]
        command.make_context(example, words[len(names) + 1 :])
    assert all(getattr(one, "help", None) for one in command.params if one.name != "config"), names


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("run",),
        ("check",),
        ("send", "topic"),
        ("send", "topic", "file", "--repeat", "0"),
        ("tail",),
        ("models", "try"),
        ("spec",),
        ("tail", "topic", "--unknown"),
        ("plan", "file", "--rate", "inf"),
        ("plan", "file", "--rate", "1", "--model-ms", "inf"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(monkeypatch, capsys, arguments):
    code, _, told = called(monkeypatch, capsys, *arguments)
    assert code == 2
    assert "Error" in told


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("street.yaml:3: name: is missing"), 2),
        (ModelError("no such tensor"), 2),
        (BrokerError("gone", retriable=True), 1),
        (DownloadError("gone"), 1),
    ],
)
def test_errors_on_purpose_are_one_message_and_a_code(monkeypatch, capsys, error, code):
    monkeypatch.setattr(app_module, "app", fails(error))
    assert called(monkeypatch, capsys) == (code, "", f"streamer: {error}\n")


def test_an_unexpected_error_is_a_line_and_a_hint(monkeypatch, capsys):
    monkeypatch.delenv("STREAMER_LOG__LEVEL", raising=False)
    monkeypatch.setattr(app_module, "app", fails(ZeroDivisionError("by\nnothing")))
    code, out, told = called(monkeypatch, capsys)
    assert (code, out) == (1, "")
    assert told.startswith("streamer: unexpected ZeroDivisionError: by nothing\n")
    assert "STREAMER_LOG__LEVEL=DEBUG" in told
    assert "Traceback" not in told


def test_the_trace_of_an_unexpected_error_is_there_for_those_who_ask(monkeypatch, capsys):
    monkeypatch.setenv("STREAMER_LOG__LEVEL", "DEBUG")
    monkeypatch.setattr(app_module, "app", fails(ZeroDivisionError("nothing")))
    assert "Traceback" in called(monkeypatch, capsys)[2]


def test_an_interrupt_is_no_error(monkeypatch, capsys):
    monkeypatch.setattr(app_module, "app", fails(KeyboardInterrupt()))
    assert called(monkeypatch, capsys) == (130, "", "")


def test_a_topology_that_is_wrong_is_refused_before_anything_else(monkeypatch, capsys, tmp_path):
    file = tmp_path / "street.yaml"
    file.write_text("nmae: street\n")
    for command in ("run", "check"):
        code, _, told = called(monkeypatch, capsys, command, str(file))
        assert code == 2
        assert told.startswith(f"streamer: {file}")
        assert f"{file}:1: nmae: unknown key; did you mean 'name'?" in told
        assert "Traceback" not in told


def test_settings_that_are_wrong_are_refused(monkeypatch, capsys, tmp_path):
    file = tmp_path / "some.txt"
    file.write_text("a\n")
    monkeypatch.setenv("STREAMER_KAFKA__BOOTSTRAP_SERVER", "x:1")
    code, _, told = called(monkeypatch, capsys, "send", "topic", str(file))
    assert code == 2
    assert "did you mean 'STREAMER_KAFKA__BOOTSTRAP_SERVERS'?" in told


def test_the_topology_schema_is_printed_without_any_file(monkeypatch, capsys):
    code, told, _ = called(monkeypatch, capsys, "spec", "--topology-schema")
    assert code == 0
    assert json.loads(told)["title"] == "streamer topology"


def test_help_is_quick_and_needs_no_inference_runtime():
    probe = (
        "import sys\n"
        "for name in ('onnxruntime', 'kafka', 'cv2', 'numpy', 'pydantic', 'uvicorn'):\n"
        "    sys.modules[name] = None\n"
        "sys.argv = ['streamer', '--help']\n"
        "from streamer.cli.app import main\n"
        "main()\n"
    )
    before = os.times()
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False)  # noqa: S603
    after = os.times()
    assert done.returncode == 0, done.stderr.decode()
    # Processor time, so that what else the machine does is not measured; 0.25 s is usual.
    spent = sum(after[2:4]) - sum(before[2:4])
    assert spent < 0.75

"""The frame itself: what lint and the package manager would not notice."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import streamer

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def test_the_package_and_its_metadata_say_the_same_version():
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert streamer.__version__ == metadata["project"]["version"]


def test_the_package_is_marked_as_typed():
    assert (Path(streamer.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_pins_every_package_by_hash_and_names_no_server(lock):
    text = lock.read_text(encoding="utf-8")
    entries = re.sub(r"\\\n", "", text).splitlines()
    assert "://" not in text
    assert all(re.match(r"[a-z0-9._-]+==\S+ .*--hash=sha256:", entry) for entry in entries)


@pytest.mark.parametrize(("stem", "carried"), [("dev", True), ("image-cpu", False)])
def test_the_broker_is_installed_for_people_and_left_out_of_the_container(stem, carried):
    text = (ROOT / "requirements" / f"{stem}.txt").read_text(encoding="utf-8")
    assert ("\njdk4py==" in text, "\njgo==" in text) == (carried, carried)


def test_what_an_image_without_the_sidecar_leaves_out_is_what_the_sidecar_needs():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    [names] = re.findall(r'\$RETRAINING" = yes .* uninstall --yes ([a-z0-9 -]+);', text)
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = metadata["project"]["optional-dependencies"]["retrain"]
    brought = {"ml-dtypes"}  # by onnx
    assert set(names.split()) - brought == {re.split("[><=]", one)[0] for one in needed}
    lock = (ROOT / "requirements" / "image-cpu.txt").read_text(encoding="utf-8")
    assert all(f"\n{name}==" in lock for name in names.split())


@pytest.mark.parametrize(
    ("reason", "code", "unexpected"),
    [("assets: none here", 0, 0), ("some other day", 1, 1)],
)
def test_a_run_fails_for_a_skip_nobody_expects(tmp_path, reason, code, unexpected):
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(
        f"import pytest\ndef test_a():\n    pytest.skip({reason!r})\ndef test_b():\n    pass\n",
        encoding="utf-8",
    )
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "--strict-skips", "-p", "no:cacheprovider", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == code, run.stdout
    assert f"skips: 1, of them unexpected: {unexpected}" in run.stdout


@pytest.mark.parametrize(
    ("broken", "code", "told"),
    [
        ("test", 2, ""),
        ("audit mlflow", 1, "failed: make audit\nfailed: make mlflow\n"),
        ("none", 0, ""),
    ],
)
def test_a_night_tells_of_everything_that_failed(tmp_path, broken, code, told):
    for name in ("promtool", "chromium", "docker"):
        (tmp_path / name).write_text("#!/bin/sh\n", encoding="utf-8")
    script = f'#!/bin/sh\nfor one in {broken}; do [ "$1" != $one ] || exit 2; done\n'
    (tmp_path / "make").write_text(script, encoding="utf-8")
    for program in tmp_path.iterdir():
        program.chmod(0o755)
    done = subprocess.run(  # noqa: S603 - our own script
        [shutil.which("bash"), str(ROOT / ".ci" / "run"), "nightly"],
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, told), done.stdout

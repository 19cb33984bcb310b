import subprocess
import sys

import pytest

STOPPED = """
import os, signal, sys, time

class Stops:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[0]:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)

sys.argv = sys.argv[1:]
sys.meta_path.insert(0, Stops())

from streamer.cli.app import main

main()
"""


@pytest.mark.parametrize(
    ("loaded", "arguments"),
    [
        ("streamer.pipeline", ["run", "topology.yaml"]),
        ("streamer.retraining.sidecar", ["retrain", "sidecar.yaml"]),
        ("streamer.dashboard", ["dashboard"]),
    ],
)
def test_what_is_told_to_stop_while_it_is_still_being_loaded_ends_well(loaded, arguments):
    command = [sys.executable, "-c", STOPPED, loaded, *arguments]
    ended = subprocess.run(command, check=False, capture_output=True, timeout=50)  # noqa: S603
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")

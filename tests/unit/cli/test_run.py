import subprocess
import sys

STOPPED = """
import os, signal, sys, time

class Stops:
    def find_spec(self, name, path=None, target=None):
        if name == "streamer.pipeline":
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)

sys.meta_path.insert(0, Stops())
sys.argv = ["streamer", "run", "topology.yaml"]

from streamer.cli.app import main

main()
"""


def test_a_daemon_that_is_stopped_while_it_is_still_being_imported_ends_well():
    command = [sys.executable, "-c", STOPPED]
    ended = subprocess.run(command, check=False, capture_output=True, timeout=50)  # noqa: S603
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")

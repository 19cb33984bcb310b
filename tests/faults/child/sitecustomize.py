"""Makes a daemon's model slow, or deadly: on the child's PYTHONPATH, so that no product code knows.

Python imports this module by its name when an interpreter starts.

STREAM_FAULTS_DELAY_MS: what each row of a batch takes longer.
STREAM_FAULTS_DEADLY: token that kills the process which runs a batch with it.
STREAM_FAULTS_CRASH: part of the name of a model file that kills the process which opens it.
"""

import os
import signal
import time
from typing import Any

_DELAY_S = float(os.environ.get("STREAM_FAULTS_DELAY_MS") or 0) / 1000
_DEADLY = int(os.environ.get("STREAM_FAULTS_DEADLY") or -1)
_CRASH = os.environ.get("STREAM_FAULTS_CRASH") or ""


def _install() -> None:
    import onnxruntime

    class Session(onnxruntime.InferenceSession):  # type: ignore[misc]
        def __init__(self, file: Any, *given: Any, **named: Any) -> None:
            if _CRASH and _CRASH in str(file):
                os.kill(os.getpid(), signal.SIGSEGV)
            super().__init__(file, *given, **named)

        def run(self, names: Any, feeds: Any, *given: Any, **named: Any) -> Any:
            tokens = feeds["input_ids"]
            if (tokens == _DEADLY).any():
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(_DELAY_S * len(tokens))
            return super().run(names, feeds, *given, **named)

    onnxruntime.InferenceSession = Session


if _DELAY_S or _DEADLY >= 0 or _CRASH:
    _install()

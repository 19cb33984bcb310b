"""How many cores this process may use."""

import math
import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(quota: Path = _QUOTA) -> int:
    """Count the cores that this process may run on, as far as its container's limit goes.

    Args:
        quota: the limit of the control group (cgroup v2), microseconds of a period; a container
            with `limits: {cpu: 2}` sees all cores of its machine otherwise.
    """
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return int(max(min(here or 1, _limit(quota)), 1))


def _limit(quota: Path) -> float:
    """Give the cores that a limit comes to, rounded up; infinity without one."""
    try:
        most, period = quota.read_text(encoding="ascii").split()
        return math.ceil(int(most) / int(period))
    except (OSError, ValueError):  # no such group, or "max": no limit
        return math.inf

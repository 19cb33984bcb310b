"""Memory: what a version takes at the least, and what is free where it is to run."""

import ctypes
import json
from pathlib import Path

from streamer.errors import ModelError
from streamer.infer.device import cuda_index, first_library, gpu_uuids
from streamer.models import Version
from streamer.models.graph import read_graph

_MEMINFO = Path("/proc/meminfo")
_CONTROL = Path("/sys/fs/cgroup")
_LIBRARIES = ("libnvidia-ml.so.1", "nvml.dll")
_NO_LIMIT = 2**62


def weight_bytes(version: Version) -> int:
    """Give the size of a version's weights on the disk: in memory they take no less."""
    file = version.file
    files = [file]
    if file.suffix == ".onnx":
        files += [file.parent / name for name in read_graph(file).external]
    elif file.name == "saved_model.pb":
        files += list((file.parent / "variables").glob("*"))
    elif file.name.endswith(".index.json"):
        parts = json.loads(file.read_text(encoding="utf-8"))["weight_map"].values()
        files += [file.parent / name for name in set(parts)]
    return sum(one.stat().st_size for one in files if one.is_file())


def short_of(version: Version, *, device: str, copies: int, limit: int | None) -> str | None:
    """Say what is lacking for a version beside what is loaded; None where it may fit.

    Args:
        version: what is to be loaded.
        device: where.
        copies: how often its weights are loaded.
        limit: memory that it is given on a GPU, where that is set.
    """
    free = free_bytes(device)
    on_gpu = device.startswith(("cuda", "GPU", "MIG"))
    needed = limit if limit is not None and on_gpu else copies * weight_bytes(version)
    if free is None or needed <= free:
        return None
    return (
        f"{version.manifest.name} {version.manifest.version} needs at least {_told(needed)} "
        f"on {device}, {_told(free)} are free beside what is loaded"
    )


def _told(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:,.0f} MiB"


def free_bytes(device: str) -> int | None:
    """Give the memory that is free on a device; None where nobody tells.

    On a CPU the least of what the machine has left and what the container may still take.
    """
    if device.startswith(("cuda", "GPU", "MIG")):
        return _free_on_gpu(device)
    known = [free for free in (_free_on_machine(), _free_in_container()) if free is not None]
    return min(known, default=None)


def _free_on_machine() -> int | None:
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    told = dict(line.split(":", 1) for line in lines if ":" in line)
    available = told.get("MemAvailable", "").split()
    return int(available[0]) * 1024 if available else None


def _free_in_container() -> int | None:
    """Read control groups of the second version; page cache gives way to what is loaded."""
    try:
        limit = (_CONTROL / "memory.max").read_text(encoding="ascii").strip()
        taken = int((_CONTROL / "memory.current").read_text(encoding="ascii"))
        lines = (_CONTROL / "memory.stat").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    if not limit.isdigit() or int(limit) > _NO_LIMIT:
        return None
    stat = dict(line.split(" ", 1) for line in lines if " " in line)
    cache = int(stat.get("inactive_file", 0)) + int(stat.get("active_file", 0))
    return max(int(limit) - taken + cache, 0)


class _Memory(ctypes.Structure):
    """nvmlMemory_t."""

    _fields_ = tuple((name, ctypes.c_ulonglong) for name in ("total", "free", "used"))


def _free_on_gpu(device: str) -> int | None:
    """Ask the driver's management library: it tells without a context on the GPU."""
    library = first_library(_LIBRARIES)
    names = gpu_uuids()
    try:
        index = cuda_index(device)
    except ModelError:
        return None
    if library is None or index >= len(names) or library.nvmlInit_v2():
        return None
    bare = names[index].partition("-")[2]
    for kind in ("GPU", "MIG"):
        handle, memory = ctypes.c_void_p(), _Memory()
        name = f"{kind}-{bare}".encode()
        if library.nvmlDeviceGetHandleByUUID(name, ctypes.byref(handle)) == 0:
            told = library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory))
            return int(memory.free) if told == 0 else None
    return None

import uuid

import pytest

from streamer.errors import ModelError
from streamer.infer import device


class Driver:
    """Stands for libcuda with two GPUs."""

    ids = (uuid.UUID(int=7), uuid.UUID(int=0x8A5D << 64))

    def cuInit(self, flags):  # noqa: N802
        return 0

    def cuDeviceGetCount(self, count):  # noqa: N802
        count._obj.value = len(self.ids)
        return 0

    def cuDeviceGet(self, handle, index):  # noqa: N802
        handle._obj.value = index
        return 0

    def cuDeviceGetUuid(self, raw, handle):  # noqa: N802
        raw._obj[:] = list(self.ids[handle.value].bytes)
        return 0


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(device, "first_library", lambda _: Driver())
    device.gpu_uuids.cache_clear()
    yield
    device.gpu_uuids.cache_clear()


@pytest.mark.parametrize(("name", "index"), [("cuda", 0), ("cuda:0", 0), ("cuda:3", 3)])
def test_cuda_devices_have_their_number(name, index):
    assert device.cuda_index(name) == index


def test_a_gpu_is_found_by_its_uuid(two_gpus):
    assert device.cuda_index(f"GPU-{Driver.ids[0]}") == 0
    assert device.cuda_index(f"MIG-{str(Driver.ids[1]).upper()}") == 1
    with pytest.raises(ModelError, match=f"no such GPU is visible here; visible .*{Driver.ids[1]}"):
        device.cuda_index("GPU-0")


def test_without_a_driver_no_gpu_is_visible(monkeypatch):
    monkeypatch.setattr(device, "first_library", lambda _: None)
    device.gpu_uuids.cache_clear()
    with pytest.raises(ModelError, match="visible are: none"):
        device.cuda_index("GPU-0")
    device.gpu_uuids.cache_clear()

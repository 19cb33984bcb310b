"""What all frameworks' errors have in common: one line, and whether memory was short."""

import pytest

from streamer.infer.base import cleaned, is_memory


@pytest.mark.parametrize(
    "message",
    [
        "Failed to allocate memory for requested buffer of size 1073741824",
        "Available memory of 8192 is smaller than requested bytes of 65536",
        "CUDA error cudaErrorMemoryAllocation:out of memory",
        "CUDA_ERROR_OUT_OF_MEMORY: out of memory",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 4503599627370496 bytes",
        "{{function_node __wrapped__MatMul}} OOM when allocating tensor with shape[10000,10000]",
        "RESOURCE_EXHAUSTED: failed to get memory",
        "std::bad_alloc",
    ],
)
def test_memory_that_runs_out_is_known_by_what_is_said(message):
    assert is_memory(message)


@pytest.mark.parametrize(
    "message",
    [
        "Got invalid dimensions for input: x index: 1 Got: 4 Expected: 3",
        "indices element out of data bounds, idx=6 must be within the inclusive range [-6,5]",
        "expected scalar type Long but found Float",
    ],
)
def test_other_failures_are_no_lack_of_memory(message):
    assert not is_memory(message)


def test_the_trace_of_a_script_is_left_out_of_its_error():
    told = (
        "The following operation failed in the TorchScript interpreter.\n"
        "Traceback of TorchScript (most recent call last):\n"
        '  File "net.py", line 9, in forward\n    return x.reshape(1, 2)\n    ~ HERE\n'
        "RuntimeError: shape '[1, 2]' is invalid for input of size 9\n"
    )
    assert cleaned(RuntimeError(told)) == "shape '[1, 2]' is invalid for input of size 9"

"""What ONNX Runtime runs models on, and its options."""

from pathlib import Path

import pytest

from streamer.errors import ModelError
from streamer.infer import Tuning, open_session
from streamer.infer.providers import chosen


def test_options_of_the_session_reach_onnx_runtime(summing):
    built = summing()
    tuned = Tuning(
        session_options={
            "graph_optimization_level": "disabled",
            "enable_mem_pattern": "true",
            "session.intra_op.allow_spinning": "0",
        }
    )
    session = open_session(built, device="cpu", tuning=tuned)
    told = session._session.get_session_options()
    assert told.graph_optimization_level.name == "ORT_DISABLE_ALL"
    assert told.enable_mem_pattern
    assert told.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("graph_optimisation", "all"),
        ("graph_optimization_level", "most"),
        ("enable_mem_pattern", "1"),
    ],
)
def test_an_option_that_there_is_not_is_refused_with_those_there_are(summing, name, value):
    with pytest.raises(ModelError, match=f"session_options: {name}: {value}: known are graph_opt"):
        open_session(summing(), device="cpu", tuning=Tuning(session_options={name: value}))


def test_onnx_runtime_never_goes_on_with_another_provider_by_itself(summing):
    # after an error on a GPU its Python layer would run the batch on the CPU, and print a line
    assert open_session(summing(), device="cpu")._session._enable_fallback is False


def test_nodes_are_counted_by_provider(summing):
    session = open_session(summing(), device="cpu")
    assert dict(session.nodes) == {"CPUExecutionProvider": 1}


@pytest.mark.parametrize(
    ("provider", "package"),
    [
        ("cuda", r"streamer\[gpu\]"),
        ("tensorrt", "TensorRT"),
        ("openvino", "onnxruntime-openvino"),
        ("coreml", "macOS"),
        ("directml", "onnxruntime-directml"),
    ],
)
def test_a_provider_that_is_named_is_used_or_refused(summing, provider, package):
    with pytest.raises(
        ModelError, match=rf"provider {provider}: this ONNX Runtime has .*{package}"
    ):
        open_session(summing(), tuning=Tuning(provider=provider))


@pytest.mark.parametrize(
    ("provider", "wanted"),
    [
        ("auto", [("CUDAExecutionProvider", {"device_id": "1", "gpu_mem_limit": "1024"})]),
        ("cuda", [("CUDAExecutionProvider", {"use_tf32": "0", "gpu_mem_limit": "1024"})]),
        (
            "tensorrt",
            [
                ("TensorrtExecutionProvider", {"trt_engine_cache_enable": "1", "device_id": "1"}),
                ("CUDAExecutionProvider", {"device_id": "1"}),
            ],
        ),
    ],
)
def test_providers_of_a_gpu_are_told_what_to_do(summing, monkeypatch, tmp_path, provider, wanted):
    class Runtime:
        @staticmethod
        def get_available_providers():
            return ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]

    monkeypatch.setattr("streamer.infer.providers.user_cache_path", lambda name: tmp_path / name)
    tuning = Tuning(provider=provider, memory_bytes=1024)
    found, device = chosen(Runtime, "cuda:1", tuning, summing().file)
    assert device == "cuda:1"
    assert [name for name, _ in found] == [*(name for name, _ in wanted), "CPUExecutionProvider"]
    for (_, told), (_, options) in zip(found, wanted, strict=False):
        assert told.items() >= options.items()
    if provider == "tensorrt":
        assert Path(found[0][1]["trt_engine_cache_path"]).is_relative_to(tmp_path / "streamer")


def test_an_onnx_file_is_not_run_in_another_precision(summing):
    with pytest.raises(ModelError, match="precision bf16: an ONNX file computes in the types"):
        open_session(summing(), device="cpu", tuning=Tuning(precision="bf16"))


def test_a_gpu_that_is_named_is_never_replaced(summing):
    ort = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("gpu: this machine's ONNX Runtime has CUDA")
    for device in ("cuda:0", "cuda", "GPU-8a5d3a5c-0000-0000-0000-000000000000"):
        with pytest.raises(ModelError, match=f"device {device}: this ONNX Runtime has no CUDA"):
            open_session(summing(), device=device)
    assert open_session(summing(), device="auto").device == "cpu"


def test_a_cuda_provider_that_does_not_load_is_a_fallback_only_for_auto(summing, monkeypatch):
    ort = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("gpu: this machine's ONNX Runtime has CUDA")
    # ONNX Runtime drops a provider that it cannot load, with nothing but a warning
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr("streamer.infer.providers.gpu_uuids", lambda: ("GPU-1",))
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"):
        session = open_session(summing(), device="auto")
    assert session.device == "cpu"
    assert "libonnxruntime_providers_cuda" in session.fallback
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(ModelError, match=r"device cuda:0: ONNX Runtime cannot use CUDA: .*\.so"),
    ):
        open_session(summing(), device="cuda:0")

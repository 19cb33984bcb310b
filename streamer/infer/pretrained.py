"""Hugging Face folders into Torch modules: by transformers' auto classes, or timm."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from streamer.errors import ConfigError, ModelError
from streamer.graphs.timm import load_timm
from streamer.infer.base import cleaned
from streamer.infer.tuning import Precision
from streamer.models import Version
from streamer.models.huggingface.timm import is_timm

_AUTO_CLASSES: Mapping[str, str] = MappingProxyType(
    {
        "image-classification": "AutoModelForImageClassification",
        "object-detection": "AutoModelForObjectDetection",
        "text-classification": "AutoModelForSequenceClassification",
        "zero-shot-classification": "AutoModelForSequenceClassification",
        "token-classification": "AutoModelForTokenClassification",
        "sentence-similarity": "AutoModel",
        "feature-extraction": "AutoModel",
        "image-feature-extraction": "AutoModel",
        "translation": "AutoModelForSeq2SeqLM",
        "text2text-generation": "AutoModelForSeq2SeqLM",
        "summarization": "AutoModelForSeq2SeqLM",
        "image-to-text": "AutoModelForImageTextToText",
    }
)
_DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
# Layers on top of what a task reads; checkpoints without them are complete for it.
_SPARE = ("pooler.",)
_MOST_NAMED = 4


def load_pretrained(
    version: Version,
    auto_class: str | None = None,
    *,
    device: str = "cpu",
    precision: Precision = "auto",
    allow_bin: bool = False,
) -> Any:
    """Load a folder's weights into the class that its `config.json` names, ready to infer.

    Nothing is downloaded and no code of the folder is run; weights are safetensors.

    Args:
        version: whose `file` is `model.safetensors` or the index of its parts.
        auto_class: one of transformers' auto classes; by the task if left out.
        device: as Torch names it.
        precision: of the weights; `auto` is the file's own.
        allow_bin: whether `pytorch_model.bin` will do, read with `weights_only`.

    Raises:
        ModelError: the folder does not hold such a model, or not all of its weights.
        ConfigError: transformers is not installed.
    """
    folder = version.file.parent
    if version.file.suffix == ".bin" and not allow_bin:
        raise ModelError(
            f"{version.file}: is a pickle; save the weights as safetensors (load the model in "
            "transformers and save_pretrained it), or, if you trust where it comes from, write "
            "allow_bin: true at the model in the topology"
        )
    if is_timm(_config(version)):
        return _timm(version, device, precision)
    transformers = import_transformers()
    _refuse_own_code(version)
    loader = getattr(transformers, auto_class or _auto_class(transformers, version))
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        # The weights of a backbone are in the file, too: nothing is to be fetched for it.
        if getattr(config, "use_pretrained_backbone", None):
            config.use_pretrained_backbone = False
        module, told = loader.from_pretrained(
            folder,
            config=config,
            dtype=_DTYPES.get(precision, "auto"),
            use_safetensors=version.file.suffix != ".bin",
            weights_only=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as error:
        raise ModelError(f"{folder}: transformers cannot load it: {cleaned(error)}") from error
    _refuse_gaps(version, told)
    return _onto(device, module.eval(), folder)


def _onto(device: str, module: Any, folder: Path) -> Any:
    try:
        return module.to(device)
    except RuntimeError as error:
        raise ModelError(f"{folder}: does not go onto {device}: {cleaned(error)}") from error


def _timm(version: Version, device: str, precision: Precision) -> Any:
    """Load a network of timm, called and answering as those of transformers."""
    import torch

    network = load_timm(version.file, _config(version))
    dtype = getattr(torch, _DTYPES.get(precision, "float32"))
    output = next(iter(version.manifest.outputs))

    class Named(torch.nn.Module):  # type: ignore[misc] # of Torch nothing is known to mypy
        """The network, its one output named."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network.to(dtype)
            self.dtype = dtype

        def forward(self, pixel_values: Any, **_: Any) -> Any:
            return {output: self.network(pixel_values)}

    return _onto(device, Named().eval(), version.folder)


def import_transformers() -> Any:
    """Import transformers, or say which extra has it.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import torch  # noqa: F401 - transformers starts without, and fails later
        import transformers
    except ImportError as error:
        raise ConfigError(
            "Hugging Face folders need transformers and Torch, which are not installed: "
            "pip install 'streamer[torch]', or export the model to ONNX"
        ) from error
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    return transformers


def _auto_class(transformers: Any, version: Version) -> str:
    """Choose by the task, else by the class that wrote the weights."""
    known = _AUTO_CLASSES.get(version.manifest.task)
    if known is not None:
        return known
    written = (_config(version).get("architectures") or ["AutoModel"])[0]
    if isinstance(getattr(transformers, str(written), None), type):
        return str(written)
    raise ModelError(
        f"{version.folder}: config.json: architectures: transformers has no '{written}'"
    )


def _refuse_own_code(version: Version) -> None:
    if "auto_map" in _config(version):
        kind = _config(version).get("model_type", "model")
        raise ModelError(
            f"{version.folder}: this '{kind}' brings code of its own (auto_map in config.json), "
            "which is never run; export it to ONNX, or remove auto_map if transformers has the "
            "architecture itself"
        )


def _refuse_gaps(version: Version, told: Mapping[str, Any]) -> None:
    """Refuse weights that transformers would have made up."""
    reads = {name for name, output in version.manifest.outputs.items() if output.decode != "ignore"}
    missing = [
        name
        for name in sorted(told.get("missing_keys") or ())
        if "pooler_output" in reads or not any(part in name for part in _SPARE)
    ]
    mismatched = sorted(str(key[0]) for key in told.get("mismatched_keys") or ())
    if missing or mismatched:
        names = [*missing, *mismatched]
        listed = ", ".join(names[:_MOST_NAMED])
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        raise ModelError(
            f"{version.file}: lacks weights that {version.manifest.task} needs, or has them in "
            f"other shapes: {listed}{more}; was the model trained for another task?"
        )


def _config(version: Version) -> dict[str, Any]:
    file = version.file.parent / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ModelError(f"{file}: is no JSON: {error}") from error
    return config if isinstance(config, dict) else {}

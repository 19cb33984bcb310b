"""Tiny models to ONNX, free in batch and length, for parity tests."""

import inspect
import warnings
from collections.abc import Sequence
from pathlib import Path
from shutil import copyfile
from typing import Any

_BESIDE = ("config.json", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json")


def exported(module: Any, example: dict[str, Any], output: str, folder: Path, to: Path) -> Path:
    """Write a module as `model.onnx` into a folder, with the files that stand beside its weights.

    Args:
        module: in eval mode.
        example: its inputs; each becomes free in its batch and length.
        output: the result that the file gives.
        folder: where the module's own files are.
        to: written to.
    """
    import torch

    names = list(example)

    class Wrapper(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *tensors: Any) -> Any:
            return self.module(**dict(zip(names, tensors, strict=True)), return_dict=True)[output]

    to.mkdir(parents=True, exist_ok=True)
    for name in _BESIDE:
        if (folder / name).is_file():
            copyfile(folder / name, to / name)
    wrapper = Wrapper().eval()
    if "use_cache" in inspect.signature(module.forward).parameters:
        module.config.use_cache = False
    sides = {name: _free(tensor) for name, tensor in example.items()} | {output: {0: "batch"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            wrapper,
            tuple(example.values()),
            str(to / "model.onnx"),
            input_names=names,
            output_names=[output],
            dynamic_axes=sides,
            dynamo=False,
            opset_version=17,
        )
    return to


def _free(tensor: Any) -> dict[int, str]:
    sides: Sequence[str] = ("batch", "length") if tensor.dim() == 2 else ("batch",)
    return dict(enumerate(sides))

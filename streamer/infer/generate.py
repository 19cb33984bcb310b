"""Models that write texts token by token: translation, summaries, captions."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.errors import ModelError
from streamer.infer.base import BaseSession
from streamer.infer.pretrained import import_transformers, load_pretrained
from streamer.infer.session import TensorInfo
from streamer.infer.torch import import_torch, placed
from streamer.infer.tuning import Tuning
from streamer.models import Version
from streamer.models.manifest import TextInput

_SEQUENCES = "sequences"
_LIMITS, _FIRST = "max_new_tokens", "forced_bos_token_id"


class GenerateSession(BaseSession):
    """A Hugging Face folder whose model has `generate`.

    A batch is written together, with the keys and values of earlier tokens kept. Each item has its
    own limit; one that is done is filled with padding until the last one is. What the folder's
    `generation_config.json` says holds, except that nothing is drawn by lot.
    """

    provider = "Torch"

    def __init__(
        self, version: Version, *, device: str, threads: int, tuning: Tuning | None = None
    ) -> None:
        super().__init__(version)
        tuning = tuning or Tuning()
        if version.file.suffix == ".onnx":
            raise ModelError(
                f"{version.file}: {version.manifest.task} runs over Torch only: give the model's "
                "Hugging Face folder with its model.safetensors (pip install 'streamer[torch]')"
            )
        self._torch = torch = import_torch()
        self._transformers = import_transformers()
        self.device, self.fallback = placed(torch, device)
        torch.set_num_threads(threads)
        self._module: Any = load_pretrained(
            version, device=self.device, precision=tuning.precision, allow_bin=tuning.allow_bin
        )
        self._config = _settled(self._module.generation_config, version)
        self._known(_inputs(version), {_SEQUENCES: TensorInfo(_SEQUENCES, "int64", (None, None))})

    def close(self) -> None:
        """Free the model's memory; the session must not run after it."""
        super().close()
        self._module = None
        if self.device != "cpu":
            self._torch.cuda.empty_cache()

    def _fed(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Check what the model reads; what it is told beside is for `generate`."""
        told = {name: feeds[name] for name in (_LIMITS, _FIRST) if name in feeds}
        return {
            **super()._fed({name: array for name, array in feeds.items() if name not in told}),
            **told,
        }

    def _compute(self, feeds: Mapping[str, NDArray[Any]], wanted: list[str]) -> dict[str, Any]:
        told = dict(feeds)
        limits = told.pop(_LIMITS, None)
        first = told.pop(_FIRST, None)
        items = len(next(iter(told.values())))
        # Without limits it is a trial, whether the model runs at all.
        limits = np.ones(items, np.int64) if limits is None else limits
        config = self._transformers.GenerationConfig(**self._config.to_dict())
        config.max_new_tokens = int(limits.max())
        if first is not None:
            config.forced_bos_token_id = int(first[0])
        watch = None if np.all(limits == limits[0]) else _Limits(self._torch, limits, config)
        tensors = {name: self._tensor(array) for name, array in told.items()}
        with self._torch.inference_mode():
            rows = self._module.generate(
                **tensors,
                generation_config=config,
                stopping_criteria=[watch.done] if watch else None,
                logits_processor=[watch.ended] if watch else None,
            )
        written: NDArray[Any] = rows.cpu().numpy()
        return {name: written if watch is None else watch.cut(written) for name in wanted}

    def _tensor(self, array: NDArray[Any]) -> Any:
        tensor = self._torch.from_numpy(array if array.flags.writeable else array.copy())
        if tensor.is_floating_point():
            return tensor.to(self.device, self._module.dtype)
        return tensor.to(self.device)


class _Limits:
    """Limits that differ within a batch: each item ends as it would have ended alone."""

    def __init__(self, torch: Any, limits: NDArray[Any], config: Any) -> None:
        self._torch = torch
        self._limits = limits
        self._config = config
        self._begin = 0
        self._end = config.forced_eos_token_id
        config.forced_eos_token_id = None
        self._padding = config.pad_token_id if config.pad_token_id is not None else 0

    def ended(self, ids: Any, scores: Any) -> Any:
        """Let the last token of each item be the one that the model is to end with, if any."""
        self._begin = self._begin or ids.shape[1]
        if self._end is None:
            return scores
        last = self._rows(ids, ids.shape[1] + 1)
        scores[last] = -float("inf")
        for token in self._end if isinstance(self._end, list) else [self._end]:
            scores[last, token] = 0
        return scores

    def done(self, ids: Any, scores: Any, **_: Any) -> Any:
        """Say which items have reached their limits."""
        del scores
        return self._rows(ids, ids.shape[1])

    def cut(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Take off what a model without an end token wrote behind an item's limit."""
        places = np.arange(rows.shape[1])[None]
        return np.where(places < self._begin + self._limits[:, None], rows, self._padding)

    def _rows(self, ids: Any, length: int) -> Any:
        """Say of each row, of which an item has as many as beams, whether its limit is reached."""
        reached = np.repeat(self._begin + self._limits <= length, len(ids) // len(self._limits))
        return self._torch.as_tensor(reached, device=ids.device)


def _settled(config: Any, version: Version) -> Any:
    """Take the folder's own settings, without lots, and with the beams that are wanted."""
    config.do_sample = False
    config.num_beams = version.manifest.generation.num_beams
    config.max_length = None
    config.return_dict_in_generate = False
    config.use_cache = True
    if config.num_beams == 1:
        config.early_stopping = False
        config.length_penalty = 1.0
    for name in ("temperature", "top_p", "top_k"):
        setattr(config, name, None)
    return config


def _inputs(version: Version) -> Mapping[str, TensorInfo]:
    inputs: dict[str, TensorInfo] = {}
    for name, tensor in version.manifest.inputs.items():
        if isinstance(tensor, TextInput):
            inputs |= {part: TensorInfo(part, tensor.dtype, None) for part in tensor.tensors}
        else:
            inputs[name] = TensorInfo(name, getattr(tensor, "dtype", "int64"), None)
    return MappingProxyType(inputs)

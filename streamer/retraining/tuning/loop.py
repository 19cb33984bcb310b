"""The loop: epochs over shuffled batches, the best one kept, a checkpoint after each."""

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import structlog

from streamer.retraining.config import Training
from streamer.retraining.tuning.batches import Batch, Examples
from streamer.retraining.tuning.course import Course
from streamer.retraining.tuning.networks import Network
from streamer.retraining.tuning.objectives import Objective

_MOST_SLOPE = 1.0
_log = structlog.get_logger("retrain")


class Checkpoints(Protocol):
    """Where a run's state is kept between epochs."""

    def read(self) -> bytes | None:
        """Give what was written last; None if nothing was."""

    def write(self, content: bytes) -> None:
        """Replace what is there."""


@dataclass
class State:
    """How far a run is."""

    epoch: int = 0
    best: float = float("inf")
    bad: int = 0
    weights: dict[str, Any] = field(default_factory=dict)
    told: list[dict[str, Any]] = field(default_factory=list)


class Loop:
    """Learns a network's weights.

    Args:
        network: what learns, on its device already.
        objective: what is minimised.
        training: how.
        rate: the learning rate of its last layers.
        seed: of what is drawn.
        device: where the network is.
        half: whether it computes in bfloat16, where that does no harm.
        tells: told the share that is learnt, before every batch.
    """

    def __init__(  # noqa: PLR0913 - what a loop is made of
        self,
        network: Network,
        objective: Objective,
        training: Training,
        *,
        rate: float,
        seed: int,
        device: str,
        half: bool = False,
        tells: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._network = network
        self._objective = objective
        self._training = training
        self._rate = rate
        self._seed = seed
        self._device = device
        self._half = half
        self._tells = tells

    def run(
        self,
        train: Examples,
        validation: Examples,
        checkpoints: Checkpoints,
        check: Callable[[], None],
    ) -> list[dict[str, Any]]:
        """Learn until the validation side gets no better; leave the best weights in the network.

        Args:
            train: what is learnt from.
            validation: what the best epoch is chosen by; the training side where it is empty.
            checkpoints: where the run goes on if it was killed.
            check: called before every batch; raises to end the work.

        Returns:
            Losses of each epoch.
        """
        import torch

        optimiser = self._optimiser()
        state = self._resumed(optimiser, checkpoints)
        course = Course.of(self._training, len(train))
        while state.epoch < course.epochs and state.bad < course.patience:
            rng = np.random.default_rng([self._seed, state.epoch])
            torch.manual_seed(self._seed * 1000 + state.epoch)
            losses = []
            for step, places in enumerate(self._shuffled(len(train), rng)):
                check()
                self._tells((state.epoch + step / course.steps_each) / course.epochs)
                _set_rates(optimiser, course.share(state.epoch, step))
                batch = train.batch(places, rng if self._training.augment else None)
                losses.append(self._step(optimiser, batch))
            judged = self._judged(validation if len(validation) else train, check)
            self._take_note(state, float(np.mean(losses)), judged)
            checkpoints.write(_written(state, self._network.module, optimiser))
            _log.info("epoch", **state.told[-1])
        self._network.module.load_state_dict(state.weights)
        return state.told

    def _optimiser(self) -> Any:
        """Make AdamW: rates fall from the last layers to the first; some may stay as they are."""
        import torch

        blocks = self._network.blocks()
        kept = len(blocks)
        if self._training.layers != "all":
            kept = min(self._training.layers + 1, len(blocks))
        by_name = dict(self._network.module.named_parameters())
        groups = []
        for depth, names in enumerate(blocks):
            from_last = len(blocks) - 1 - depth
            learns = from_last < kept
            for name in names:
                by_name[name].requires_grad_(learns)
            if learns:
                rate = self._rate * self._training.layer_decay**from_last
                groups += [
                    {
                        "params": [by_name[n] for n in names if (by_name[n].ndim > 1) == decays],
                        "weight_decay": self._training.weight_decay if decays else 0.0,
                        "share": rate,
                    }
                    for decays in (True, False)
                ]
        return torch.optim.AdamW([one for one in groups if one["params"]], lr=self._rate)

    def _step(self, optimiser: Any, batch: Batch) -> float:
        import torch

        module = self._network.module
        module.train()
        for one in module.modules():
            own = list(one.parameters())
            if own and not any(parameter.requires_grad for parameter in own):
                one.eval()  # what stays as it is keeps its statistics, too
        optimiser.zero_grad(set_to_none=True)
        with self._mixed():
            loss = self._objective(self._network, self._moved(batch))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), _MOST_SLOPE)
        optimiser.step()
        return float(loss.detach())

    def _judged(self, examples: Examples, check: Callable[[], None]) -> float:
        """Give the mean loss without varying or dropping anything."""
        import torch

        self._network.module.eval()
        total = 0.0
        with torch.no_grad():
            for places in _chunks(list(range(len(examples))), self._training.batch_size):
                check()
                batch = self._moved(examples.batch(places, None))
                total += float(self._objective(self._network, batch)) * len(places)
        return total / max(len(examples), 1)

    def _take_note(self, state: State, loss: float, judged: float) -> None:
        state.told.append({"epoch": state.epoch + 1, "train": loss, "validation": judged})
        state.epoch += 1
        if judged < state.best:
            state.best, state.bad = judged, 0
            now = self._network.module.state_dict()
            state.weights = {name: one.detach().cpu().clone() for name, one in now.items()}
        else:
            state.bad += 1

    def _resumed(self, optimiser: Any, checkpoints: Checkpoints) -> State:
        import torch

        content = checkpoints.read()
        state = State()
        state.weights = {n: one.clone() for n, one in self._network.module.state_dict().items()}
        if content is None:
            return state
        kept = torch.load(io.BytesIO(content), map_location=self._device, weights_only=True)
        self._network.module.load_state_dict(kept["module"])
        optimiser.load_state_dict(kept["optimiser"])
        _log.info("goes on from a checkpoint", epoch=kept["state"]["epoch"])
        return State(**kept["state"])

    def _shuffled(self, count: int, rng: np.random.Generator) -> Iterator[list[int]]:
        return _chunks([int(one) for one in rng.permutation(count)], self._training.batch_size)

    def _moved(self, batch: Batch) -> Batch:
        feeds, right = batch
        moved = [{n: one.to(self._device) for n, one in given.items()} for given in feeds]
        if isinstance(right, list):
            return moved, [one.to(self._device) for one in right]
        return moved, right.to(self._device)

    def _mixed(self) -> AbstractContextManager[Any]:
        """Compute in bfloat16 what Torch holds to be safe in it."""
        import torch

        if not self._half:
            return nullcontext()
        kind = torch.device(self._device).type
        found: AbstractContextManager[Any] = torch.autocast(kind, dtype=torch.bfloat16)
        return found


def _set_rates(optimiser: Any, share: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = group["share"] * share


def _written(state: State, module: Any, optimiser: Any) -> bytes:
    import torch

    stream = io.BytesIO()
    kept = {
        "module": module.state_dict(),
        "optimiser": optimiser.state_dict(),
        "state": vars(state),
    }
    torch.save(kept, stream)
    return stream.getvalue()


def _chunks(places: list[int], size: int) -> Iterator[list[int]]:
    """Cut into batches; one that is left alone goes with those before, as norms need more."""
    edges = list(range(0, len(places), size))
    if len(edges) > 1 and len(places) - edges[-1] == 1:
        edges.pop()
    for number, begin in enumerate(edges):
        end = edges[number + 1] if number + 1 < len(edges) else len(places)
        yield places[begin:end]

"""How long is learnt, and how fast at each step.

Few examples make few steps an epoch, and too few steps teach badly, whatever the rate (M. Mosbach,
M. Andriushchenko, D. Klakow 2021, "On the stability of fine-tuning BERT"; T. Zhang et al. 2021,
"Revisiting few-sample BERT fine-tuning"): so the usual course is a number of steps, too.
"""

from dataclasses import dataclass

from streamer.retraining.config import Training

_EPOCHS = 10
_LEAST_STEPS = 500
_MOST_EPOCHS = 100
_PATIENCE = 3  # a third of the epochs: the rate falls, and losses fall last
_WARM = 0.1


@dataclass(frozen=True)
class Course:
    """The steps of a run.

    Attributes:
        epochs: how often each example is seen, at the most.
        patience: epochs without a lower loss that end it.
        steps_each: steps of an epoch.
    """

    epochs: int
    patience: int
    steps_each: int

    @classmethod
    def of(cls, training: Training, examples: int) -> "Course":
        """Give the course of a run.

        Args:
            training: as the file has it; what it leaves out goes by the number of examples.
            examples: that are learnt from.
        """
        each = max(-(-examples // training.batch_size), 1)
        usual = min(max(_EPOCHS, -(-_LEAST_STEPS // each)), _MOST_EPOCHS)
        epochs = training.epochs or usual
        patience = training.patience or max(-(-epochs // _PATIENCE), 1)
        return cls(epochs, patience, each)

    def share(self, epoch: int, step: int) -> float:
        """Give the share of the learning rate: up over the first tenth of all steps, then down.

        Args:
            epoch: from 0.
            step: within it, from 0.
        """
        steps, now = self.steps_each * self.epochs, self.steps_each * epoch + step
        warm = max(1, round(steps * _WARM))
        return (now + 1) / warm if now < warm else (steps - now) / max(steps - warm, 1)

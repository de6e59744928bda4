"""The rate finder: train while the learning rate grows, and see where the loss falls and where it explodes.

Source: Smith, Cyclical Learning Rates for Training Neural Networks (arXiv 1506.01186), section 3.3, in the form of
fast.ai's library: the rate is multiplied by a constant after each batch, the loss is smoothed, and the search ends at
four times the best.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bench.training.examples import Examples
from bench.training.loop import endless
from bench.training.trainer import Trainer

# Of the running mean of the losses, how much of it is kept at each batch.
KEPT = 0.9
# Where the smoothed loss is so many times the best one, the search is over.
EXPLODED = 4.0
# The suggestion lies so much below the rate of the smallest loss, at which the loss falls no more.
BELOW_BEST = 10.0


@dataclass
class Curve:
    """A rate, the loss of the batch trained at it, and the smoothed loss: an entry each a batch."""

    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    smoothed: list[float] = field(default_factory=list)
    _mean: float = 0.0

    def add(self, rate: float, loss: float) -> None:
        self._mean = KEPT * self._mean + (1 - KEPT) * loss
        self.rates.append(rate)
        self.losses.append(loss)
        # Without the division the first means would be drawn towards zero.
        self.smoothed.append(self._mean / (1 - KEPT ** len(self.rates)))

    @property
    def exploded(self) -> bool:
        now = self.smoothed[-1]
        return not math.isfinite(now) or now > EXPLODED * min(self.smoothed)

    @property
    def best(self) -> int:
        """The batch of the smallest smoothed loss."""
        finite = [loss if math.isfinite(loss) else math.inf for loss in self.smoothed]
        return finite.index(min(finite))

    @property
    def steepest(self) -> int | None:
        """The batch up to the best one at which the smoothed loss falls fastest by the rate's logarithm."""
        falls = [self.smoothed[i + 1] - self.smoothed[i - 1] for i in range(1, self.best)]
        return 1 + falls.index(min(falls)) if falls else None

    @property
    def suggestion(self) -> float | None:
        """A tenth of the rate of the smallest loss; None where the loss never fell below its first value."""
        return self.rates[self.best] / BELOW_BEST if self.smoothed[self.best] < self.smoothed[0] else None


def find_rate(
    trainer: Trainer,
    base_rate: float,
    start: float,
    end: float,
    steps: int,
    told: Callable[[int, float], None] = lambda _step, _loss: None,
) -> Curve:
    """Train `trainer`'s model for at most `steps` batches, at rates from `start` to `end`; then restore its weights.

    `base_rate` is the rate of the trainer's optimisers, whose schedule must be constant; roles with rates of their own
    keep their ratio to it. `told` is called with each step and its loss.
    """
    before = copy.deepcopy(trainer.model.state_dict())
    train_step = trainer.train_step
    optimizers = train_step.make_optimizers()
    stage = replace(trainer.curriculum.stage(0), steps=1)
    curve = Curve()
    for step, (images, labels) in enumerate(itertools.islice(endless(trainer.train), steps)):
        rate = start * (end / start) ** (step / max(steps - 1, 1))
        batch = Examples(images, labels)
        loss = train_step(batch, optimizers, 0, replace(stage, lr_factor=rate / base_rate)).item()
        curve.add(rate, loss / len(labels) if train_step.loss.reduction == "sum" else loss)
        told(step + 1, curve.losses[-1])
        if curve.exploded:
            break
    trainer.model.load_state_dict(before)
    train_step.precision.reset()
    optimizers.reset()
    return curve

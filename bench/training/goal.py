"""The goal of a training: how long, when to evaluate, and its target."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """How long to train, when to evaluate, and the target: an epoch's mean training loss, a classifier's accuracy in
    [0, 1], or the quality of a task, of which `lower_is_better` says how it is compared."""

    epochs: float
    target_accuracy: float | None = None
    stop_at_target: bool = False
    tta: int = 0
    epoch_tta: int = 0
    eval_every_epochs: int = 1
    tta_below: float | None = None
    first_eval_epoch: int = 1
    equal_views: bool = False
    target_loss: float | None = None
    target_quality: float | None = None
    lower_is_better: bool = False

    @property
    def has_target(self) -> bool:
        return any(target is not None for target in (self.target_accuracy, self.target_loss, self.target_quality))

    @property
    def evaluates_alike(self) -> bool:
        """Whether the final evaluation is like those between epochs."""
        return self.tta == self.epoch_tta

    def is_due(self, epoch: int, last: bool) -> bool:
        """Whether there is an evaluation after this epoch, counted from 1; `last` says that training ends with it."""
        every = self.eval_every_epochs
        return bool(every) and (last or (epoch >= self.first_eval_epoch and epoch % every == 0))

    def reached_by(self, quality: float | None, loss: float | None = None) -> bool:
        """Whether the target is reached by an evaluation, or by an epoch's mean training loss."""
        if self.target_loss is not None:
            return loss is not None and loss <= self.target_loss
        target = self.target_accuracy if self.target_quality is None else self.target_quality
        if quality is None or target is None:
            return False
        return quality <= target if self.lower_is_better else quality >= target

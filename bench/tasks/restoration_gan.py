"""The pre-trained GAN: a generator that restores by pixels first, then by pixels and a critic's verdict.

Source: fast.ai, Practical Deep Learning for Coders (2019), lesson 7 ("no-GAN" pre-training, and the switch).
"""

from __future__ import annotations

from collections import Counter
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.models.restoration_gan import RestorationGan
from bench.tasks.dense import answers, check_targets, first_answers
from bench.tasks.dense_settings import RestorationGanSettings
from bench.tasks.restoration import before_after, features_of, image_figures
from bench.tasks.untrained import untrained
from bench.training.examples import Examples
from bench.training.optimizers import Optimizers
from bench.training.running_means import RunningMeans
from bench.training.task import Quality, Task, TaskParts

Net = Literal["generator", "critic"]
# The finest features of the classifier that the distance is measured by.
FEATURES = 3


class RestorationGanTask(Task):
    """Says by `turn` whose step a batch is: the generator's alone, the critic's alone, then by the switch."""

    quality = Quality("psnr_db", "higher")
    CHANGED = ("_generator_optimizers", "_critic_optimizers", "_critics_turn")

    def __init__(self, settings: RestorationGanSettings, parts: TaskParts) -> None:
        super().__init__(settings, parts)
        check_targets(settings.name, 4, parts)
        assert isinstance(parts.model, RestorationGan)
        self.generator, self.critic = parts.model.generator, parts.model.critic
        trained = parts.nets.get("features")
        self._features = features_of(trained, FEATURES, parts) if trained else None
        ends = (round(share * parts.total_batches) for share in (settings.generator_until, settings.critic_until))
        self._generator_until, self._critic_until = ends

    def begin(self) -> Optimizers:
        make = self.parts.make_optimizers
        self._generator_optimizers, self._critic_optimizers = make(self.generator), make(self.critic)
        self._critics_turn = True
        self._figures, self._steps = RunningMeans(), Counter[str]()
        return self._generator_optimizers

    def turn(self, position: float) -> Net:
        """Whose step the batch after `position` whole ones is."""
        if position < self._generator_until:
            return "generator"
        return "critic" if position < self._critic_until or self._critics_turn else "generator"

    def step(self, batch: Examples, position: float) -> Tensor:
        net, adversarial = self.turn(position), position >= self._critic_until
        optimizers = self._critic_optimizers if net == "critic" else self._generator_optimizers
        rate = 1.0 if adversarial else self.settings.alone_lr_factor
        rate *= self.settings.critic_lr_factor if net == "critic" and adversarial else 1.0
        optimizers.set_progress(position, rate)
        with self.parts.precision.autocast():
            if net == "critic":
                loss = self._critic_loss(batch.images, batch.labels)
            else:
                loss = self._generator_loss(batch.images, batch.labels, adversarial)
        self.descend(loss, optimizers)
        if adversarial:
            # The value decides whose turn the next batch is, so the host waits for it.
            self._critics_turn = net == "generator" or not loss.item() < self.settings.switch_below
        self._steps[net] += 1
        self._figures.add(1, **{f"{net}_loss": loss})
        return loss.detach()

    def evaluate(self) -> dict[str, float]:
        return image_figures(answers(self.generator, self.parts), self._features, self.parts)

    def epoch_figures(self) -> dict[str, float]:
        """Mean loss and steps of each net in the epoch."""
        steps = {f"{net}_steps": float(self._steps[net]) for net in get_args(Net)}
        self._steps.clear()
        return {**steps, **self._figures.taken()}

    def pictures(self) -> dict[str, Tensor]:
        return {"before_after": before_after(first_answers(self.generator, self.parts), self.parts)}

    def _critic_loss(self, damaged: Tensor, whole: Tensor) -> Tensor:
        with torch.no_grad():
            made = self.generator(damaged)
        return verdict_loss(self.critic(whole), real=True) / 2 + verdict_loss(self.critic(made), real=False) / 2

    def _generator_loss(self, damaged: Tensor, whole: Tensor, adversarial: bool) -> Tensor:
        made = self.generator(damaged)
        by_pixels = F.mse_loss(made.float(), whole.float())
        if not adversarial:
            return by_pixels
        with untrained(self.critic):
            judged = verdict_loss(self.critic(made), real=True)
        whole_loss: Tensor = judged + self.settings.pixel_weight * by_pixels
        return whole_loss


def verdict_loss(logits: Tensor, real: bool) -> Tensor:
    """Cross-entropy of the critic's logits against one verdict for all, float32 []."""
    return F.binary_cross_entropy_with_logits(logits.float(), torch.full_like(logits, float(real), dtype=torch.float32))

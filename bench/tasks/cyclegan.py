"""CycleGAN: translation between two domains of images without pairs.

Source: Zhu et al. (arXiv 1703.10593), as in fast.ai, Deep Learning for Coders part 2 (2018), lesson 12. In a step both
generators are trained first, by one optimiser, then the critic of A and the critic of B, by one each.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.errors import UsageError
from bench.models.cyclegan import MULTIPLE_PIXELS, CycleGan
from bench.pipelines.augment import seeded_generator
from bench.tasks.cyclegan_settings import CycleGanSettings
from bench.tasks.pixels import Tanh, grid
from bench.tasks.untrained import untrained
from bench.training.examples import Examples
from bench.training.fake_pool import FakePool
from bench.training.optimizers import Optimizers
from bench.training.running_means import RunningMeans
from bench.training.task import Quality, Task, TaskParts

REAL, FAKE = 1.0, 0.0
SHOWN = 8


class CycleGanTask(Task):
    """A batch has images of domain A, and images of domain B in place of labels.

    The quality is `true_error` where the data knows the true translations, else `cycle_error`: mean absolute errors of
    pixels in [0, 1], over both directions. Raises `UsageError` for images whose sides a generator cannot restore.
    """

    judges_untrained = True
    CHANGED = ("_generators", "_critic_a", "_critic_b", "_pool_a", "_pool_b")

    def __init__(self, settings: CycleGanSettings, parts: TaskParts) -> None:
        assert isinstance(parts.model, CycleGan)
        super().__init__(settings, parts)
        self.settings: CycleGanSettings = settings
        self._net = parts.model
        self._tanh = Tanh(parts.data, parts.device, parts.precision.inputs)
        self.quality = Quality("true_error" if parts.data.paired else "cycle_error", "lower")
        self._figures = RunningMeans()
        _, height, width = parts.data.image_shape
        if height % MULTIPLE_PIXELS or width % MULTIPLE_PIXELS:
            raise UsageError(
                f"data: images of {height}x{width} pixels cannot be halved twice and doubled again; take sides that "
                f"are multiples of {MULTIPLE_PIXELS}"
            )

    def begin(self) -> Optimizers:
        net, make = self._net, self.parts.make_optimizers
        self._generators = make(nn.ModuleList([net.a_to_b, net.b_to_a]))
        self._critic_a, self._critic_b = make(net.critic_a), make(net.critic_b)
        self._pool_a, self._pool_b = (
            FakePool(self.settings.pool, seeded_generator(self.parts.seed, "fake pool", domain)) for domain in "AB"
        )
        return self._generators

    def step(self, batch: Examples, position: float) -> Tensor:
        net = self._net
        for optimizers in (self._generators, self._critic_a, self._critic_b):
            optimizers.set_progress(position)
        a, b = self._tanh(batch.images), self._tanh(batch.labels)
        loss, fake_a, fake_b = self._train_generators(a, b)
        of_a = self._train_critic(net.critic_a, self._critic_a, a, self._pool_a.shown(fake_a))
        of_b = self._train_critic(net.critic_b, self._critic_b, b, self._pool_b.shown(fake_b))
        self._figures.add(1, critic_loss=(of_a + of_b) / 2)
        return loss

    def epoch_figures(self) -> dict[str, float]:
        return self._figures.taken()

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        errors = RunningMeans()
        for images, others in self.parts.test.epoch(0):
            a, b = self._tanh(images), self._tanh(others)
            with self.parts.precision.autocast():
                to_b, to_a = self._net.a_to_b(a), self._net.b_to_a(b)
                back_a, back_b = self._net.b_to_a(to_b), self._net.a_to_b(to_a)
            # The values of pixels in [-1, 1] are two apart where those in [0, 1] are one.
            errors.add(len(a), cycle_error=(distance(back_a, a) + distance(back_b, b)) / 4)
            if self.parts.data.paired:
                errors.add(len(a), true_error=(distance(to_b, b) + distance(to_a, a)) / 4)
        return errors.taken()

    @torch.no_grad()
    def pictures(self) -> dict[str, Tensor]:
        """Rows of inputs, of their translations, and of the true ones, or of what comes back where none are known."""
        net, (images, others) = self._net, next(iter(self.parts.test.epoch(0)))
        a, b = self._tanh(images[:SHOWN]), self._tanh(others[:SHOWN])
        return {
            "a_to_b": self._rows(net.a_to_b, net.b_to_a, a, b),
            "b_to_a": self._rows(net.b_to_a, net.a_to_b, b, a),
        }

    def _rows(self, there: nn.Module, back: nn.Module, images: Tensor, truth: Tensor) -> Tensor:
        with self.parts.precision.autocast():
            translated = there(images)
            last = truth if self.parts.data.paired else back(translated)
        shown = torch.cat([row.float() for row in (images, translated, last)])
        return grid((shown + 1) / 2, columns=len(images))

    def _train_generators(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A step of both generators; returns their loss, and new fakes of A and of B, all detached."""
        net, settings = self._net, self.settings
        with untrained(net.critic_a), untrained(net.critic_b):
            with self.parts.precision.autocast():
                fake_a, fake_b = net.b_to_a(b), net.a_to_b(a)
                fooling = squared(net.critic_a(fake_a), REAL) + squared(net.critic_b(fake_b), REAL)
                cycle = distance(net.b_to_a(fake_b), a) + distance(net.a_to_b(fake_a), b)
                figures = {"fooling_loss": fooling, "cycle_loss": cycle}
                loss = fooling + settings.cycle_weight * cycle
                if settings.identity_share:
                    identity = distance(net.b_to_a(a), a) + distance(net.a_to_b(b), b)
                    figures["identity_loss"] = identity
                    loss = loss + settings.cycle_weight * settings.identity_share * identity
            self.descend(loss, self._generators)
        self._figures.add(1, generator_loss=loss, **figures)
        return loss.detach(), fake_a.detach(), fake_b.detach()

    def _train_critic(self, critic: nn.Module, optimizers: Optimizers, real: Tensor, fake: Tensor) -> Tensor:
        """A step of a critic; returns its loss, detached."""
        with self.parts.precision.autocast():
            loss = (squared(critic(real), REAL) + squared(critic(fake), FAKE)) / 2
        self.descend(loss, optimizers)
        return loss.detach()


def squared(scores: Tensor, wanted: float) -> Tensor:
    """The least-squares loss of a critic's scores: their mean squared distance to `wanted`, float32 []."""
    return (scores.float() - wanted).square().mean()


def distance(images: Tensor, others: Tensor) -> Tensor:
    """L1: the mean absolute difference of two batches, float32 []."""
    return (images.float() - others.float()).abs().mean()

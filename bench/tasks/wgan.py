"""The Wasserstein GAN: a generator against a critic that is stepped more often, as fast.ai trained it.

Sources: Arjovsky et al., Wasserstein GAN (arXiv 1701.07875); Gulrajani et al. (arXiv 1704.00028) for the penalty on the
gradient; fast.ai, Deep Learning for Coders part 2 (2018), lesson 12, for the counts. The critic minimises
D(real) - D(fake), the generator D(fake).
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.errors import UsageError
from bench.models.dcgan import Dcgan
from bench.pipelines.augment import seeded_generator
from bench.tasks.pixels import Tanh, grid
from bench.tasks.sample_quality import SampleScore
from bench.tasks.untrained import untrained
from bench.tasks.wgan_settings import WganSettings
from bench.training.examples import Examples
from bench.training.loop import Diverged
from bench.training.optimizers import Optimizers
from bench.training.running_means import RunningMeans
from bench.training.task import Quality, Task, TaskParts

# In the grid.
DRAWN = 64


class Wgan(Task):
    """A batch is a step of the critic, with as many generated images; sometimes a step of the generator follows.

    The quality is the Fréchet distance of `samples` generated images to as many test images. Raises `UsageError` if
    there are fewer, and for images that are not square.
    """

    quality = Quality("frechet_distance", "lower")
    CHANGED = ("_critic_optimizers", "_generator_optimizers", "_draws", "_generator_steps", "_critic_steps_since")

    def __init__(self, settings: WganSettings, parts: TaskParts) -> None:
        super().__init__(settings, parts)
        assert isinstance(parts.model, Dcgan)
        self.settings: WganSettings = settings
        self._generator, self._critic, self._noise_length = parts.model.generator, parts.model.critic, parts.model.noise
        self._tanh = Tanh(parts.data, parts.device, parts.precision.inputs)
        there, (_, height, width) = len(parts.data.test), parts.data.image_shape
        if height != width:
            raise UsageError(
                f"data: {parts.data.name} has images of {height}x{width} pixels, and a DCGAN draws square ones; take "
                "square images, of a folder by data.image_size"
            )
        if parts.nets and there < settings.samples:
            raise UsageError(
                f"task.samples: {settings.samples:,} images are compared with as many test images, and "
                f"{parts.data.name} has {there:,}; set task.samples to {there} at most, or take more test images"
            )
        self._score = None
        if judge := parts.nets.get("features"):
            self._score = SampleScore(judge, parts.data, settings.samples, settings.nearest, parts.device)

    def begin(self) -> Optimizers:
        make = self.parts.make_optimizers
        self._critic_optimizers, self._generator_optimizers = make(self._critic), make(self._generator)
        self._draws = self._seeded("training")
        self._generator_steps = self._critic_steps_since = 0
        self._figures = RunningMeans()
        return self._critic_optimizers

    def step(self, batch: Examples, position: float) -> Tensor:
        loss = self._step_critic(self._tanh(batch.images), position)
        self._critic_steps_since += 1
        if self._critic_steps_since >= self._critic_steps_due():
            self._step_generator(position)
            self._critic_steps_since = 0
        return loss

    def _critic_steps_due(self) -> int:
        """How many steps of the critic the generator's next step waits for."""
        settings, number = self.settings, self._generator_steps
        often = settings.many_every > 0 and number % settings.many_every == 0
        return settings.many_critic_steps if often or number < settings.many_at_first else settings.critic_steps

    def _step_critic(self, real: Tensor, position: float) -> Tensor:
        self._critic_optimizers.set_progress(position)
        if not self.settings.gradient_penalty:
            clip(self._critic, self.settings.clip)
        with torch.no_grad():
            fake = self._made(len(real), self._draws)
        with self.parts.precision.autocast():
            loss: Tensor = self._critic(real).float().mean() - self._critic(fake).float().mean()
            whole = loss + self._penalty(real, fake) if self.settings.gradient_penalty else loss
        self.descend(whole, self._critic_optimizers)
        return loss.detach()

    def _penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        """How far the length of the critic's gradient is from 1 between real and generated images."""
        share = torch.rand(len(real), 1, 1, 1, device=real.device, generator=self._draws)
        between = torch.lerp(real.float(), fake.float(), share).to(real.dtype).requires_grad_()
        (gradient,) = torch.autograd.grad(self._critic(between).float().sum(), between, create_graph=True)
        penalty: Tensor = (gradient.float().flatten(1).norm(dim=1) - 1).square().mean()
        self._figures.add(1, penalty_loss=penalty)
        return self.settings.gradient_penalty * penalty

    def _step_generator(self, position: float) -> None:
        self._generator_optimizers.set_progress(position)
        with untrained(self._critic):
            with self.parts.precision.autocast():
                loss = self._critic(self._made(self.settings.generator_batch, self._draws)).float().mean()
            self.descend(loss, self._generator_optimizers)
        self._generator_steps += 1
        self._figures.add(1, generator_loss=loss)

    def epoch_figures(self) -> dict[str, float]:
        """The mean loss of the generator's steps in the epoch, if it had any, and their number since the beginning."""
        return {"generator_steps": self._generator_steps, **self._figures.taken()}

    def evaluate(self) -> dict[str, float]:
        """The figures of `SampleScore`, of images from the same noise each time."""
        assert self._score is not None
        made = self._samples("evaluation", self.settings.samples)
        if not made.isfinite().all():
            raise Diverged("the generator's images are not finite any more")
        return self._score.figures(made)

    def pictures(self) -> dict[str, Tensor]:
        return {"samples": grid(self._samples("grid", DRAWN))}

    @torch.no_grad()
    def _samples(self, name: str, count: int) -> Tensor:
        """Images [count, C, H, W] in [0, 1] from the same noise each time, by the generator in evaluation mode."""
        draws = self._seeded(name)
        self._generator.eval()
        made = [self._made(min(500, count - start), draws).float() for start in range(0, count, 500)]
        self._generator.train()
        return (torch.cat(made) + 1) / 2

    def _made(self, count: int, draws: torch.Generator) -> Tensor:
        shape = (count, self._noise_length, 1, 1)
        noise = torch.randn(shape, device=self.parts.device, generator=draws).to(self.parts.precision.inputs)
        with self.parts.precision.autocast():
            made: Tensor = self._generator(noise)
        return made

    def _seeded(self, what: str) -> torch.Generator:
        """Random numbers on the device, of this run's seed alone."""
        seed = seeded_generator(self.parts.seed, "wgan", what).initial_seed()
        return torch.Generator(self.parts.device).manual_seed(seed)


@torch.no_grad()
def clip(net: torch.nn.Module, most: float) -> None:
    """Clip all weights to ± `most`."""
    weights: list[Tensor] = list(net.parameters())
    torch._foreach_clamp_min_(weights, -most)
    torch._foreach_clamp_max_(weights, most)

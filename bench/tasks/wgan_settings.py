"""The settings of `task: wgan`. Importing this brings no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from bench.documents.kept_net import KeptNet
from bench.documents.limits import MOST_COUNT
from bench.documents.numbers import Count, NotNegative, Positive
from bench.tasks.settings import TaskSettings


class WganSettings(TaskSettings):
    """A Wasserstein GAN as the lecture trains it; a batch of images is a step of the critic.

    The generator is stepped after every `critic_steps` steps of the critic; but after `many_critic_steps` for its first
    `many_at_first` steps, and for every `many_every`-th, counted from the very first. The critic's weights are clipped
    to ± `clip` before each of its steps, or with `gradient_penalty` (times its weight) not at all.
    """

    NETS: ClassVar = ("features",)

    name: Literal["wgan"]
    critic_steps: Count = 5
    """Steps of the critic for one of the generator."""
    many_critic_steps: Count = 100
    """The same, for the steps of the generator that wait longer."""
    many_at_first: Annotated[int, Field(ge=0, le=MOST_COUNT)] = 0
    """How many of the first steps of the generator wait for `many_critic_steps`."""
    many_every: Annotated[int, Field(ge=0, le=MOST_COUNT)] = 500
    """500: steps 1, 501, 1001 and so on of the generator wait for `many_critic_steps` too; 0: none does."""
    clip: Positive = 0.01
    """The largest weight of the critic, positive or negative."""
    gradient_penalty: NotNegative = 0.0
    """Weight of the penalty on the critic's gradients (WGAN-GP); above 0 nothing is clipped."""
    generator_batch: Count = 64
    """Images of a step of the generator."""
    features: KeptNet | None = None
    """The classifier whose features judge the images: a recipe (its newest kept run), a run's id, or a file."""
    samples: Annotated[int, Field(ge=2, le=MOST_COUNT)] = 2000
    """Images of each evaluation, generated ones and test images."""
    nearest: Count = 100
    """How many of them are compared with every training image."""

"""The WGAN's steps against a log written by hand, and what it measures of pictures with a known answer."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bench.errors import UsageError
from bench.models.dcgan import Dcgan
from bench.pipelines.dataset import Split
from bench.tasks.wgan import Wgan
from bench.tasks.wgan_settings import WganSettings
from bench.training.examples import Examples
from bench.training.loop import Diverged
from bench.training.optimizers import Optimizers
from bench.training.schedules import constant
from tests.bench.tasks.brightness import judge

PIXELS = 8


def settings(**values):
    return WganSettings(**{"name": "wgan", "features": "digits", "samples": 32, "nearest": 4, **values})


def network():
    torch.manual_seed(0)
    return Dcgan(in_channels=1, image_size=PIXELS, width=4, noise=5)


def batch(count=4, seed=0):
    images = torch.randn(count, 1, PIXELS, PIXELS, generator=torch.Generator().manual_seed(seed))
    return Examples(images, torch.zeros(count, dtype=torch.long))


def log_of(make_parts, steps, **values):
    """The networks in the order in which they were stepped, C and G."""
    model, log = network(), []

    class Logged(Optimizers):
        def set_progress(self, step, lr_factor=1.0):
            log.append("C" if self.net is model.critic else "G")
            super().set_progress(step, lr_factor)

    def make(net):
        made = Logged(net, {"name": "rmsprop", "lr": 1e-4}, {}, constant(), 1000, 100)
        made.net = net
        return made

    task = Wgan(settings(**values), make_parts(model, optimizers=make))
    task.begin()
    for step in range(steps):
        task.step(batch(2, step), step)
    return "".join(log)


def test_the_order_of_steps_is_the_one_written_by_hand(make_parts):
    counts = {"critic_steps": 2, "many_critic_steps": 4, "many_at_first": 2, "many_every": 4}
    # Two with many at first, then two with few; the fourth counted from 0 has many again.
    by_hand = "CCCCG CCCCG CCG CCG CCCCG CCG CCG CCG CCCCG C"
    assert log_of(make_parts, by_hand.count("C"), **counts) == by_hand.replace(" ", "")


def test_the_lectures_counts_are_those_without_options(make_parts):
    """100 for the first of every 500 steps of the generator, and 5 for the others."""
    assert log_of(make_parts, 116) == ("C" * 100 + "G" + 3 * "CCCCCG" + "C")


def test_the_first_25_steps_of_the_generator_can_have_100_each(make_parts):
    log = log_of(make_parts, 2 * 10 + 7, critic_steps=5, many_critic_steps=10, many_at_first=2, many_every=0)
    assert log == "C" * 10 + "G" + "C" * 10 + "G" + "CCCCCG" + "CC"


def test_all_weights_of_the_critic_are_clipped_before_each_of_its_steps_and_the_generators_never(make_parts):
    model, largest = network(), []
    model.critic.register_forward_pre_hook(
        lambda *_: largest.append(max(p.abs().max().item() for p in model.critic.parameters()))
    )
    task = Wgan(settings(clip=0.02, critic_steps=1, many_every=0), make_parts(model, lr=0.5))
    task.begin()
    before = [parameter.clone() for parameter in model.generator.parameters()]
    task._step_critic(task._tanh(batch().images), 0)
    assert largest == pytest.approx([0.02, 0.02])  # for the real images and the generated ones
    assert all(torch.equal(a, b) for a, b in zip(before, model.generator.parameters(), strict=True))
    assert max(p.abs().max().item() for p in model.critic.parameters()) > 0.4  # the step itself is not clipped
    task._step_critic(task._tanh(batch().images), 1)
    assert max(largest) <= 0.02 + 1e-6


def test_a_step_of_the_generator_leaves_the_critic_as_it_is(make_parts):
    model = network()
    task = Wgan(settings(), make_parts(model))
    task.begin()
    critic, generator = ([p.clone() for p in net.parameters()] for net in (model.critic, model.generator))
    task._step_generator(0)
    assert all(torch.equal(a, b) for a, b in zip(critic, model.critic.parameters(), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(generator, model.generator.parameters(), strict=True))
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_the_penalty_is_that_of_its_paper_and_nothing_is_clipped(make_parts):
    model = network()
    model.critic = nn.Sequential(nn.Flatten(), nn.Linear(PIXELS**2, 1, bias=False), nn.Flatten(0))
    model.critic[1].weight.data.fill_(0.5)
    task = Wgan(settings(gradient_penalty=10.0), make_parts(model))
    task.begin()
    real = torch.zeros(4, 1, PIXELS, PIXELS)
    # The gradient of a linear critic is its weights everywhere: 64 of them, of 0.5.
    assert task._penalty(real, real).item() == pytest.approx(10 * (0.5 * PIXELS - 1) ** 2)
    task.step(batch(), 0)
    assert model.critic[1].weight.abs().max() > 0.4


def test_critic_and_generator_learn_in_opposite_directions(make_parts):
    """The critic's loss, D(real) - D(fake), falls while it is trained alone."""
    task = Wgan(settings(clip=0.1, many_at_first=1, many_critic_steps=1000), make_parts(network()))
    task.begin()
    bright = Examples(torch.full((8, 1, PIXELS, PIXELS), 2.0), torch.zeros(8))
    losses = [task.step(bright, step) for step in range(40)]
    assert losses[-1] < losses[0] - 0.1


def test_the_generators_losses_are_told_for_each_epoch_anew(make_parts):
    task = Wgan(settings(critic_steps=2, many_every=0), make_parts(network()))
    task.begin()
    for step in range(4):
        task.step(batch(), step)
    figures = task.epoch_figures()
    assert figures["generator_steps"] == 2
    assert np.isfinite(figures["generator_loss"])
    task.step(batch(), 4)
    assert task.epoch_figures() == {"generator_steps": 2}


class Fixed(nn.Module):
    """A generator that draws the same list of pictures over and over."""

    def __init__(self, pixels):
        super().__init__()
        self.pixels = pixels

    def forward(self, noise):
        return 2 * self.pixels[torch.arange(len(noise)) % len(self.pixels)] - 1


def evaluated(make_parts, pixels):
    model = network()
    parts = make_parts(model, {"features": judge()})
    task = Wgan(settings(), parts)
    task._generator = Fixed(torch.from_numpy(pixels(parts.data)).float() / 255)
    task.begin()
    return task.evaluate(), task


def test_the_test_images_themselves_are_as_good_as_can_be(make_parts):
    found, _ = evaluated(make_parts, lambda data: data.test.images)
    assert found["frechet_distance"] == pytest.approx(0, abs=1e-5)
    assert found["class_coverage"] == 1.0
    assert found["nearest_distance"] == pytest.approx(found["held_out_nearest_distance"])
    assert found["nearest_distance"] > 0.01


def test_training_images_learnt_by_heart_are_at_no_distance(make_parts):
    found, _ = evaluated(make_parts, lambda data: data.train.images[:32])
    assert found["nearest_distance"] == pytest.approx(0, abs=1e-3)


def test_a_generator_that_draws_one_picture_is_a_row_with_its_coverage(make_parts):
    found, task = evaluated(make_parts, lambda data: data.test.images[:1])
    assert found["class_coverage"] == 0.5
    assert found["frechet_distance"] > 1
    assert task.pictures()["samples"].shape == (3, 8 * 10 + 2, 8 * 10 + 2)


def test_pictures_that_are_no_numbers_are_a_divergence(make_parts):
    with pytest.raises(Diverged, match="not finite"):
        evaluated(make_parts, lambda data: np.full_like(data.test.images, np.nan, dtype=np.float32))


def test_the_grid_is_of_the_same_noise_each_time_and_of_each_seed_another(make_parts):
    parts = make_parts(network())
    task, other = Wgan(settings(), parts), Wgan(settings(), replace(parts, seed=parts.seed + 1))
    task.begin()
    other.begin()
    assert torch.equal(task.pictures()["samples"], task.pictures()["samples"])
    assert not torch.equal(task.pictures()["samples"], other.pictures()["samples"])


def test_more_samples_than_test_images_are_refused(make_parts):
    parts = make_parts(network(), {"features": judge()})
    there = len(parts.data.test)
    with pytest.raises(UsageError, match=f"set task.samples to {there} at most"):
        Wgan(settings(samples=there + 1), parts)


def test_images_that_are_not_square_are_refused(make_parts):
    parts = make_parts(network())
    wide = Split(np.zeros((4, 1, 8, 16), np.uint8), np.zeros(4, np.int64))
    with pytest.raises(UsageError, match="images of 8x16 pixels, and a DCGAN draws square ones; take square images"):
        Wgan(settings(), replace(parts, data=replace(parts.data, train=wide, test=wide)))

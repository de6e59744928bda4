"""CycleGAN's training: its losses by hand, what steps when, what is measured and drawn."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from bench.errors import UsageError
from bench.models import ImpossibleModel, check_options
from bench.models.cyclegan import CycleGan
from bench.pipelines.augment import Augment
from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.loader import Placement
from bench.pipelines.loaders import make_loader
from bench.spec import recipes
from bench.tasks.cyclegan import CycleGanTask, distance, squared
from bench.tasks.cyclegan_settings import CycleGanSettings
from bench.training.device import Device
from bench.training.examples import Examples
from bench.training.optimizers import Optimizers
from bench.training.precision import Precision
from bench.training.schedules import linear
from bench.training.task import TaskParts

PIXELS = 24
ADAM = {"name": "adamw", "decoupled": False, "lr": 2e-4, "betas": (0.5, 0.999)}


def split(count, height, seed):
    images = np.random.default_rng(seed).integers(0, 256, (count, 3, height, PIXELS), np.uint8)
    return Split(images, np.arange(count) % 2)


def dataset(height=PIXELS, paired=True):
    train, test = split(12, height, 0), split(8, height, 1)
    return Dataset("noise", train, test, 2, (0.5,) * 3, (0.5,) * 3, official=False, paired=paired)


def parts_of(data, log=None, total=8, precision="fp32"):
    """Parts of a task on the CPU; each step of an optimiser is written to `log` with the name of what it trains."""
    torch.manual_seed(0)
    net = CycleGan(image_size=PIXELS, filters=4, blocks=1)
    place = Placement(torch.device("cpu"), memory_format=torch.contiguous_format)
    test = make_loader("unpaired", data, "test", 4, Augment(), place, seed=0)

    def make(part):
        optimizers = Optimizers(part, ADAM, {}, linear(after=0.5), total, total // 2)
        names = [name for name, trained in net.named_modules() if trained is part] or ["generators"]
        for optimizer in optimizers.all:
            optimizer.register_step_post_hook(lambda *_: log is not None and log.append(names[0]))
        return optimizers

    formats = Precision(precision, Device("cpu"))
    return TaskParts(
        model=formats.prepare(net, torch.contiguous_format),
        data=data,
        test=test,
        precision=formats,
        make_optimizers=make,
        seed=0,
        nets={},
        total_batches=total,
    )


def task_of(data=None, log=None, **settings):
    parts = parts_of(data or dataset(), log)
    task = CycleGanTask(CycleGanSettings(name="cyclegan", **settings), parts)
    task.begin()
    return task, parts.model


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Examples(*(torch.rand(2, 3, PIXELS, PIXELS, generator=generator) * 2 - 1 for _ in range(2)))


def test_generators_step_first_then_the_critic_of_a_then_that_of_b():
    log = []
    task, _ = task_of(log=log)
    for position in range(2):
        task.step(batch(position), position)
    assert log == ["generators", "critic_a", "critic_b", "generators", "critic_a", "critic_b"]


def test_the_rate_is_held_for_half_of_the_training_and_falls_to_zero_for_all_three():
    task, _ = task_of()
    for position, factor in ((0, 1.0), (4, 1.0), (6, 0.5)):
        task.step(batch(), position)
        rates = [optimizers.lr for optimizers in (task._generators, task._critic_a, task._critic_b)]
        assert rates == pytest.approx([2e-4 * factor] * 3)


def test_the_losses_are_those_of_the_paper():
    """Computed from the nets as they were before the step; the pool shows the first fakes as they are."""
    task, net = task_of(cycle_weight=10.0, identity_share=0.5)
    before, (a, b) = copy.deepcopy(net), (batch().images, batch().labels)
    with torch.no_grad():
        fake_a, fake_b = before.b_to_a(b), before.a_to_b(a)
        fooling = ((before.critic_a(fake_a) - 1) ** 2).mean() + ((before.critic_b(fake_b) - 1) ** 2).mean()
        cycle = (before.b_to_a(fake_b) - a).abs().mean() + (before.a_to_b(fake_a) - b).abs().mean()
        identity = (before.b_to_a(a) - a).abs().mean() + (before.a_to_b(b) - b).abs().mean()
        of_a = ((before.critic_a(a) - 1) ** 2).mean() / 2 + (before.critic_a(fake_a) ** 2).mean() / 2
        of_b = ((before.critic_b(b) - 1) ** 2).mean() / 2 + (before.critic_b(fake_b) ** 2).mean() / 2
    loss = task.step(Examples(a, b), 0)
    assert loss.item() == pytest.approx((fooling + 10 * cycle + 5 * identity).item(), rel=1e-5)
    expected = {
        "generator_loss": loss,
        "fooling_loss": fooling,
        "cycle_loss": cycle,
        "identity_loss": identity,
        "critic_loss": (of_a + of_b) / 2,
    }
    assert task.epoch_figures() == pytest.approx({name: value.item() for name, value in expected.items()}, rel=1e-5)
    assert task.epoch_figures() == {}


def test_without_an_identity_loss_none_is_computed():
    task, _ = task_of(identity_share=0.0)
    task.step(batch(), 0)
    assert "identity_loss" not in task.epoch_figures()


def test_a_step_changes_every_weight_and_leaves_every_one_trainable():
    task, net = task_of()
    before = copy.deepcopy(net.state_dict())
    task.step(batch(), 0)
    unchanged = [name for name, value in net.state_dict().items() if torch.equal(value, before[name])]
    # Behind a bias that an instance norm takes away again there is no gradient but rounding.
    assert not [name for name in unchanged if name.endswith("weight")]
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_critic_sees_earlier_fakes_once_its_pool_is_full(monkeypatch):
    task, _ = task_of(pool=2)
    seen, shown = [], task._pool_a.shown
    monkeypatch.setattr(task._pool_a, "shown", lambda fakes: seen.append((fakes, shown(fakes))) or seen[-1][1])
    for position in range(6):
        task.step(batch(position), position)
    assert torch.equal(*seen[0])
    assert any(not torch.equal(fresh, given) for fresh, given in seen[1:])


def test_errors_are_of_pixels_from_0_to_1_and_of_both_directions():
    task, net = task_of()
    data = dataset()
    a, b = (torch.from_numpy(data.test.images[data.test.labels == domain]).float() / 255 for domain in (0, 1))
    with torch.no_grad():
        to_b, to_a = ((there(2 * images - 1) + 1) / 2 for there, images in ((net.a_to_b, a), (net.b_to_a, b)))
        back_a, back_b = ((there(2 * images - 1) + 1) / 2 for there, images in ((net.b_to_a, to_b), (net.a_to_b, to_a)))
    expected = {
        "true_error": ((to_b - b).abs().mean() + (to_a - a).abs().mean()).item() / 2,
        "cycle_error": ((back_a - a).abs().mean() + (back_b - b).abs().mean()).item() / 2,
    }
    assert task.evaluate() == pytest.approx(expected, rel=1e-4)
    assert (task.quality.name, task.quality.better) == ("true_error", "lower")


def test_where_the_truth_is_not_known_the_quality_is_what_comes_back():
    task, _ = task_of(dataset(paired=None))
    assert task.quality.name == "cycle_error"
    assert set(task.evaluate()) == {"cycle_error"}


@pytest.mark.parametrize("paired", [True, None])
def test_pictures_show_inputs_translations_and_what_they_are_compared_with(paired):
    data = dataset(paired=paired)
    task, _ = task_of(data)
    pictures = task.pictures()
    assert list(pictures) == ["a_to_b", "b_to_a"]
    for picture in pictures.values():
        assert picture.dtype == torch.uint8
        assert picture.shape[1] > 3 * PIXELS  # three rows
        assert picture.shape[2] > 4 * PIXELS  # of the four test images
    # The pixels of the first input are there as they are in the data.
    first = torch.from_numpy(data.test.images[0])
    windows = pictures["a_to_b"].unfold(1, PIXELS, 1).unfold(2, PIXELS, 1)
    distances = (windows.int() - first[:, None, None].int()).abs().amax(dim=(0, 3, 4))
    assert distances.min() <= 1


def test_images_that_cannot_be_halved_twice_are_refused_before_training():
    with pytest.raises(UsageError, match=r"images of 26x24 pixels cannot be halved twice.*multiples of 4"):
        task_of(dataset(height=26))


def test_the_losses_are_computed_in_float32():
    half = torch.full((2, 3), 0.1, dtype=torch.bfloat16)
    assert squared(half, 1.0).dtype == distance(half, half).dtype == torch.float32


REFUSED = [
    ("loader=resident", "loader: task cyclegan is trained on batches of unpaired, not of resident"),
    ("model={name: dcgan}", "model: task cyclegan trains cyclegan, not dcgan"),
    ("task=null", "model: cyclegan is no classifier; add task: cyclegan"),
    ("task.pol=3", r"unknown key 'task.pol' \(did you mean 'pool'"),
    ("task.pool=-1", "task.pool is -1"),
    ("task.name=cycelgan", "cyclegan"),
    ("ema={decay: 0.9}", "ema: task cyclegan has no use for it"),
    ("data.to=blue", "data.to: mnist_recoloured: to is 'blue'; allowed: coloured, inverted"),
]


@pytest.mark.parametrize(("setting", "said"), REFUSED)
def test_a_recipe_that_does_not_fit_is_refused_before_anything_starts(setting, said):
    with pytest.raises(UsageError, match=said):
        recipes.load("cyclegan", "cpu", [setting])


def test_an_unknown_option_of_the_nets_gets_the_nearest():
    with pytest.raises(ImpossibleModel, match="did you mean 'filters'"):
        check_options("cyclegan", {"filtres": 8})


def test_a_classifier_does_not_take_its_loader():
    with pytest.raises(UsageError, match="loader: unpaired is for task cyclegan alone; take resident, ffcv or torch"):
        recipes.load("digits", "cpu", ["loader=unpaired"])


@pytest.mark.parametrize("name", ["cyclegan", "cyclegan_smoke", "cyclegan_256"])
def test_the_shipped_recipes_have_the_papers_training(name):
    recipe = recipes.load(name, "cpu")
    assert (recipe.optimizer.settings()["betas"], recipe.schedule.model_dump()["after"]) == ((0.5, 0.999), 0.5)
    assert (recipe.task.cycle_weight, recipe.task.identity_share, recipe.task.pool) == (10, 0.5, 50)
    assert recipe.optimizer.decoupled is False

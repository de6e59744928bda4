"""A recipe's task: what goes with it, and what is refused before anything starts."""

import re

import pytest

from bench.errors import UsageError
from bench.spec import recipes
from bench.spec.buildable import why_not
from bench.spec.task import SETTINGS
from bench.tasks import TASKS
from bench.training.task import Task

RECIPE = """
data: digits
model: {name: dcgan, width: 8}
task: wgan
batch_size: 32
epochs: 2
optimizer: {name: rmsprop, lr: 1.0e-4}
"""


@pytest.fixture
def load(tmp_path):
    def load(*settings, text=RECIPE):
        (tmp_path / "mine.yaml").write_text(text)
        return recipes.load(str(tmp_path / "mine.yaml"), "cpu", settings)

    return load


def test_a_bare_name_is_the_task_without_options(load):
    task = load().task
    assert (task.name, task.critic_steps, task.clip) == ("wgan", 5, 0.01)


def test_a_recipe_without_a_task_has_the_cell_that_it_had(load):
    config = recipes.load("digits", "cpu").config()
    assert config["task"] is None
    assert config["target_quality"] is None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["task=null"], "model: dcgan is no classifier; add task: wgan"),
        (["model=darknet"], "model: task wgan trains dcgan, not darknet"),
        (["task=wgn"], "task.name is 'wgn' (did you mean 'wgan'?)"),
        (["task.critic_step=3"], "unknown key 'task.critic_step' (did you mean 'critic_steps'"),
        (["task.critic_steps=0"], "task.critic_steps is 0"),
        (["task.clip=-1"], "task.clip is -1"),
        (["task.features=3"], "task.features: 3 names no network trained earlier"),
        (["target_accuracy=0.9"], "target_accuracy: task wgan has no use for it; leave it out"),
        (["target_loss=0.9"], "target_loss: task wgan has no use for it"),
        (["ema={decay: 0.9}"], "ema: task wgan has no use for it"),
        (["loss.label_smoothing=0.1"], "loss: task wgan has no use for it"),
        (["evaluation.tta=1"], "evaluation.tta: task wgan has no use for it"),
        (["warm_up_steps=2"], "warm_up_steps: task wgan has no use for it"),
        (["devices=2"], "devices: task wgan has no use for it"),
        (["target_quality=0"], "target_quality is 0"),
        (["stop_at_target=true"], "stop_at_target: needs a target_accuracy or a target_loss, or of a task"),
        (["data=human_numbers", "loader=tokens"], "data: task wgan needs images, and human_numbers is a text"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_key(load, settings, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        load(*settings)


def test_a_classifier_has_no_quality():
    with pytest.raises(UsageError, match="target_quality: a classifier has none; write target_accuracy or target_loss"):
        recipes.load("digits", "cpu", ["target_quality=3"])


def test_a_size_that_does_not_divide_is_told_before_anything_starts(load):
    assert "4 times a power of two pixels a side (8, 16, 32, 64, …), not 28" in why_not(load("data=mnist"))
    assert why_not(load()) is None


@pytest.mark.parametrize("measure", ["inference", "find_lr", "surface", "memory"])
def test_a_measure_that_does_not_suit_a_task_is_refused(load, measure):
    with pytest.raises(UsageError, match=f"task: wgan has no {measure}; its measures are time_to_accuracy, throughput"):
        recipes.check_measure(load(), measure)


def test_every_task_has_settings_and_a_class():
    assert set(SETTINGS) == set(TASKS)
    assert all(issubclass(TASKS.load(name), Task) for name in TASKS)


def test_rmsprop_has_its_own_options(load):
    assert load("optimizer.momentum=0.5").optimizer.momentum == 0.5
    with pytest.raises(UsageError, match=r"optimizer\.betas: rmsprop has no such option"):
        load("optimizer.betas=[0.5, 0.9]")
    with pytest.raises(UsageError, match=r"optimizer\.decoupled: rmsprop decays weights through the gradient alone"):
        load("optimizer.decoupled=true")

"""What a whole run counts, when its steps and images are not all alike."""

import pytest

from bench.footprint import footprint

SMALLER_IMAGES = "image_sizes=[{pixels: 4, until: 0.5}]"
HARD_EXAMPLES = "drop_easy={kept: 0.5, start: 0.5}"
SMALLER_BATCHES = "batch_sizes={stages: [{examples: 16, until: 0.5}], scale_lr: true}"
ONCE = ("epochs=2", "target_accuracy=null", "model.blocks=[1]", "precision=fp32")
# Of 1,437 images, 22 batches of 64 an epoch.
EXAMPLES = 2 * 22 * 64


@pytest.fixture
def per_example(make_job):
    """FLOPs, counted otherwise: of a whole step of the training."""
    return footprint(make_job("time_to_accuracy", *ONCE).recipe, "cpu").training_flops_per_example


def metrics(run_here, make_job, *settings):
    return run_here(make_job("time_to_accuracy", *ONCE, *settings))[-1]["metrics"]


def test_training_flops_are_those_of_the_images_that_were_trained_on(make_job, run_here, per_example):
    whole, half_small = metrics(run_here, make_job), metrics(run_here, make_job, SMALLER_IMAGES)
    assert whole["train_flops"] == EXAMPLES * per_example
    assert half_small["forward_flops_per_example"] == whole["forward_flops_per_example"]
    # Convs cost a quarter at half the side, the head the same.
    head = 3 * 2 * 8 * 10
    assert half_small["train_flops"] == EXAMPLES / 2 * (per_example + (per_example - head) / 4 + head)


def test_what_is_frozen_costs_no_gradients(make_job, run_here, per_example):
    """The head is trained for one epoch of two, and the gradient for its input is needed in both."""
    found = metrics(run_here, make_job, "freeze=[{part: head, after: 0.5}]")
    assert found["train_flops"] == EXAMPLES * per_example - EXAMPLES / 2 * 2 * 8 * 10


@pytest.mark.parametrize(
    ("settings", "steps"), [((), 44), ((SMALLER_BATCHES,), 110), (("accumulate=4",), 44), ((SMALLER_IMAGES,), 44)]
)
def test_epochs_and_examples_are_the_same_however_they_are_cut(make_job, run_here, settings, steps):
    found = metrics(run_here, make_job, "warm_up_steps=1", *settings)
    assert (found["epochs"], found["examples"], found["steps"]) == (2, EXAMPLES, steps)
    assert found["samples_per_s"] == pytest.approx(EXAMPLES / found["train_s"])


def test_hard_examples_alone_are_fewer_and_counted_as_such(make_job, run_here, per_example):
    # The second of two epochs has half of the 22 batches.
    shown = EXAMPLES * 3 // 4
    found = metrics(run_here, make_job, HARD_EXAMPLES)
    assert (found["epochs"], found["examples"], found["steps"]) == (1.5, shown, 33)
    assert found["train_flops"] == shown * per_example
    assert metrics(run_here, make_job, HARD_EXAMPLES)["loss"] == found["loss"]

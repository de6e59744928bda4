"""What a whole run counts, when its steps and images are not all alike."""

import pytest

SMALLER_IMAGES = "image_sizes=[{pixels: 4, until: 0.5}]"
SMALLER_BATCHES = "batch_sizes={stages: [{examples: 16, until: 0.5}], scale_lr: true}"
ONCE = ("epochs=2", "target_accuracy=null", "model.blocks=[1]", "precision=fp32")
# Of 1,437 images, 22 batches of 64 an epoch.
EXAMPLES = 2 * 22 * 64


def metrics(run_here, make_job, *settings):
    return run_here(make_job("time_to_accuracy", *ONCE, *settings))[-1]["metrics"]


def test_training_flops_are_those_of_the_images_that_were_trained_on(make_job, run_here):
    whole, half_small = metrics(run_here, make_job), metrics(run_here, make_job, SMALLER_IMAGES)
    assert whole["train_flops"] == 3 * whole["forward_flops_per_example"] * EXAMPLES
    assert half_small["forward_flops_per_example"] == whole["forward_flops_per_example"]
    # Convs cost a quarter at half the side, the head the same.
    head = 2 * 8 * 10
    small = (whole["forward_flops_per_example"] - head) / 4 + head
    expected = 3 * EXAMPLES / 2 * (whole["forward_flops_per_example"] + small)
    assert half_small["train_flops"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("settings", "steps"), [((), 44), ((SMALLER_BATCHES,), 110), (("accumulate=4",), 44), ((SMALLER_IMAGES,), 44)]
)
def test_epochs_and_examples_are_the_same_however_they_are_cut(make_job, run_here, settings, steps):
    found = metrics(run_here, make_job, "warm_up_steps=1", *settings)
    assert (found["epochs"], found["examples"], found["steps"]) == (2, EXAMPLES, steps)
    assert found["samples_per_s"] == pytest.approx(EXAMPLES / found["train_s"])

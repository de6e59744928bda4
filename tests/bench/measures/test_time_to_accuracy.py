"""What a whole run counts, when its steps and images are not all alike."""

import gc
import subprocess
import sys

import pytest
import torch

from bench.measures import assembly
from bench.measures.time_to_accuracy import TimeToAccuracy
from bench.models.speedrun import SpeedrunNet
from bench.profiling.footprint import footprint
from bench.training.trainer import Trainer

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


def test_a_proxys_flops_are_part_of_the_training(make_job, run_here):
    job = make_job("time_to_accuracy", *ONCE, "proxy={kept: 0.5, every: 2, model: {width: 2}}")
    found, counted = run_here(job)[-1]["metrics"], footprint(job.recipe, "cpu")
    assert found["examples"] == EXAMPLES // 2
    assert found["train_flops"] == pytest.approx(counted.training_flops, rel=0.001)


def test_hard_examples_alone_are_fewer_and_counted_as_such(make_job, run_here, per_example):
    # The second of two epochs has half of the 22 batches.
    shown = EXAMPLES * 3 // 4
    found = metrics(run_here, make_job, HARD_EXAMPLES)
    assert (found["epochs"], found["examples"], found["steps"]) == (1.5, shown, 33)
    assert found["train_flops"] == shown * per_example
    assert metrics(run_here, make_job, HARD_EXAMPLES)["loss"] == found["loss"]


UNTIL_INITIALISED = """
import sys, time
from pathlib import Path
from bench.spec import recipes
from bench.host.clock import Clock
from bench.measures.lookup import measure_class
from bench.spec.job import Job

settings = ["compile=true", "warm_up_steps=1", "threads=1", *sys.argv[2:]]
job = Job(recipes.load("digits", "cpu", settings), seed=0, device="cpu", data_dir=None, cache=Path(sys.argv[1]),
          log=Path(sys.argv[1], "log"), origin_s=time.monotonic(), measure="time_to_accuracy", sampling=None)
before = None

def tell(kind, **values):
    global before
    if before is not None and kind == "phase":
        print(*(set(sys.modules) - before))
        sys.exit()
    if kind == "phase" and values["name"] == "init":
        before = set(sys.modules)

measure_class(job.measure)(job, Clock(), tell).run()
"""


def test_nothing_is_imported_while_the_network_is_initialised(tmp_path):
    """The speedrun rule counts that phase, and the compiler's import takes longer than a training on a GPU."""
    command = [sys.executable, "-c", UNTIL_INITIALISED, str(tmp_path), "model={name: speedrun, widths: [4, 4]}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert ended.stdout.split() == []


@pytest.mark.parametrize(
    ("settings", "phases"),
    [(("warm_up_steps=1",), ["warm_up", "init"]), (("warm_up_steps=0",), ["init"])],
)
def test_a_first_initialisation_is_thrown_away_before_the_one_that_counts(
    make_job, run_here, monkeypatch, settings, phases
):
    job = make_job("time_to_accuracy", "model={name: speedrun, widths: [4, 4]}", "epochs=1", *settings)
    told, seen, init = [], [], SpeedrunNet.init_from_data

    def noted(net, images):
        seen.append((told[-1], id(net)))
        init(net, images)

    monkeypatch.setattr(SpeedrunNet, "init_from_data", noted)
    monkeypatch.setattr(TimeToAccuracy, "_entered", lambda _, phase: told.append(phase))
    run_here(job)
    assert [phase for phase, _ in seen] == phases
    assert len({net for _, net in seen}) == len(phases)


def test_a_rehearsed_run_trains_as_any_other(make_job, run_here, monkeypatch):
    """Dropout draws from the state that an initialisation may have moved."""
    monkeypatch.setattr(assembly, "init_from_data", lambda *_: torch.rand(3))
    noise = "data={name: random, shape: [1, 8, 8], classes: 4, train_count: 128, test_count: 8}"
    model = "model={name: wide_resnet, depth: 10, widen: 1, dropout: 0.5}"

    def loss(*settings):
        job = make_job("time_to_accuracy", noise, model, "epochs=1", "target_accuracy=null", *settings)
        return run_here(job)[-1]["metrics"]["loss"]

    assert loss("warm_up_steps=1") == loss("warm_up_steps=0")


def test_the_collector_has_nothing_old_to_look_through_in_an_epoch(make_job, run_here, monkeypatch):
    """A look through all of torch takes as long as an epoch of a small network on a GPU."""
    frozen, run = [], Trainer.run

    def noted(trainer, saved):
        frozen.append((gc.get_freeze_count() > 0, gc.get_count()[2]))
        run(trainer, saved)

    monkeypatch.setattr(Trainer, "run", noted)
    run_here(make_job("time_to_accuracy", "epochs=1", "warm_up_steps=1"))
    assert frozen == [(True, 0)]
    assert gc.get_freeze_count() == 0

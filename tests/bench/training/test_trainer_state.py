"""A training that goes on from the state after any epoch is the one that was never interrupted, bit for bit."""

from __future__ import annotations

import io
from contextlib import ExitStack

import pytest
import torch
from torch import Tensor

from bench.host.clock import Clock
from bench.measures import assembly
from bench.pipelines.augment import Augment
from bench.pipelines.datasets import load_dataset
from bench.pipelines.loader import Placement
from bench.pipelines.loaders import make_loader
from bench.spec.recipe import Recipe
from bench.training.device import Device
from bench.training.precision import Precision
from bench.training.state import NotKept, check
from tests.bench.training.teachers import untrained_teacher

RANDOM = {"name": "random", "shape": [3, 8, 8], "classes": 4, "train_count": 64, "test_count": 16}
PLAIN = {
    "data": RANDOM,
    "model": {"name": "speedrun", "widths": [4, 6], "whiten_images": 64},
    "augment": {"flip": "alternating", "shift_pixels": 1},
    "precision": "fp32",
    "batch_size": 16,
    "epochs": 3.5,
    "optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.9},
    "schedule": "one_cycle",
}
# Every ingredient with what it needs; those that are shared out below have no state on a CPU.
INGREDIENTS = {
    "cutmix": {"cutmix": {"probability": 0.7}},
    "distillation": {"distillation": {"teacher": "some", "mirror": True}, "drop_easy": {"kept": 0.5, "start": 0.3}},
    "image_sizes": {"image_sizes": [{"pixels": 6, "until": 0.4}]},
    "antialias": {"image_sizes": [{"pixels": 6, "until": 0.4}], "antialias": False},
    "drop_easy": {"drop_easy": {"kept": 0.5, "start": 0.3}},
    "proxy": {"proxy": {"kept": 0.5, "every": 3, "model": {"widths": [4, 4]}}},
    "ghost_batch": {"ghost_batch": 4},
    "half_norms": {"precision": "pure_bf16", "half_norms": True},
    "winograd": {"winograd": "auto", "model": {"name": "speedrun", "widths": [32, 32]}},
    "fused_activations": {"fused_activations": "auto", "model": {"name": "speedrun", "widths": [16, 32]}},
    "batch_sizes": {"batch_sizes": {"stages": [{"examples": 8, "until": 0.5}], "scale_lr": True}},
    "accumulate": {"accumulate": 2},
    "checkpoint": {"checkpoint": {"every_epochs": 1}},
    "lr_warm_up": {"lr_warm_up": {"epochs": 2.0}},
    "lookahead": {"lookahead": {"every": 3, "decay": 0.9}},
    "ema": {"ema": {"decay": 0.9, "every": 2, "start": 0.3}},
    "freeze": {"freeze": [{"part": "head", "after": 0.4}]},
    "layer_rates": {"layer_rates": {"first": 0.1, "groups": 2}},
}
OTHERS = {
    "adamw": {"optimizer": {"name": "adamw", "lr": 0.01}},
    "muon": {
        "optimizer": {
            "name": "muon",
            "lr": 0.05,
            "momentum": 0.6,
            "groups": {
                "biases": {"name": "sgd", "lr": 0.05},
                "whiten_bias": {"name": "adamw", "lr": 0.01, "epochs": 1},
            },
        }
    },
    "loss scale": {"precision": "fp16", "loss": {"reduction": "sum"}},
    "late evaluations": {"evaluation": {"every_epochs": 2}},
    "text": {
        "data": {"name": "human_numbers", "steps": 70},
        "model": {"name": "counting_rnn:m5", "hidden": 8},
        "memory_format": "contiguous",
        "loader": "tokens",
        "batch_size": 64,
        "augment": {},
        "evaluation": {"batch_size": 64, "every_epochs": 4},
    },
    "many": {
        key: value
        for name in ("cutmix", "image_sizes", "ghost_batch", "batch_sizes", "accumulate", "lookahead", "ema", "freeze")
        for key, value in INGREDIENTS[name].items()
    },
}
NET = '''
import random

import numpy as np
import torch
from torch import nn


class Net(nn.Module):
    """Draws from every generator, and remembers what a state dict does not hold."""

    def __init__(self, in_channels, classes):
        super().__init__()
        self.head, self.drop = nn.Linear(in_channels, classes), nn.Dropout(0.2)
        self.steps, self.last = 0, None

    def forward(self, images):
        seen = self.drop(images.mean((2, 3)))
        if self.training:
            self.steps += 1
            seen = seen * (random.random() + np.random.normal() + self.steps / 10)
            seen = seen if self.last is None or self.last.shape != seen.shape else seen + self.last
            self.last = seen.detach() / 2
        return self.head(seen)
'''


def trained(values, states, saved=None):
    """A trainer after a run of this recipe, from a saved state if given; the state after each epoch is added."""
    recipe = Recipe.model_validate(values)
    data = load_dataset(recipe.data.name, data_dir=None, options=recipe.data.options)
    torch.manual_seed(0)
    precision = Precision(recipe.precision, Device("cpu"), bool(recipe.half_norms))
    memory_format = assembly.MEMORY_FORMATS[recipe.memory_format]
    placement = Placement(torch.device("cpu"), precision.inputs, memory_format)
    augment = Augment(**recipe.augment.model_dump(exclude={"then"}))
    model = assembly.build_model(recipe, data)
    assembly.speed_up(recipe, model, "cpu")
    assembly.init_from_data(model, data, torch.device("cpu"))
    precision.prepare(model, memory_format)
    with torch.random.fork_rng([]):
        nets = untrained_teacher(recipe, data, precision, memory_format)
    with ExitStack() as loaders:
        train = make_loader(recipe.loader, data, "train", recipe.batch_size, augment, placement, seed=0)
        test = make_loader(recipe.loader, data, "test", recipe.evaluation.batch_size, Augment(), placement, seed=0)
        loaders.enter_context(train)
        loaders.enter_context(test)
        trainer = assembly.build_trainer(
            recipe,
            model,
            precision,
            train,
            test,
            Clock(),
            lambda _: None,
            data=data,
            nets=nets,
        )
        trainer.after_epoch = lambda epoch, state: states.append(written(state()))
        trainer.run(saved)
    return trainer


def written(state):
    """The state as a file has it."""
    check(state)
    file = io.BytesIO()
    torch.save(state, file)
    return torch.load(io.BytesIO(file.getvalue()), weights_only=True)


def assert_equal(one, other, where=""):
    """Equal bit for bit, but for seconds."""
    assert type(one) is type(other), where
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            if not str(key).endswith("_s"):
                assert_equal(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_equal(left, right, f"{where}.{index}")
    elif isinstance(one, Tensor):
        assert one.dtype == other.dtype, where
        assert torch.equal(one, other), where
    else:
        assert one == other, where


def assert_resumes(values):
    states, epochs = [], range(3)
    whole = trained(values, states)
    assert len(states) == len(epochs)
    losses = [row["loss"] for row in whole.rows]
    assert len(set(losses)) == len(losses), "epochs that are all alike show nothing"
    for epoch in epochs:
        later = []
        resumed = trained(values, later, states[epoch])
        # The generators' state and that of the optimisers are in it too.
        assert_equal(later, states[epoch + 1 :])
        assert_equal(resumed.rows, whole.rows)
        assert_equal(resumed.model.state_dict(), whole.model.state_dict())
        assert resumed.accuracy == whole.accuracy
        assert sum(resumed.examples_by_work.values()) == resumed.examples == whole.examples


@pytest.mark.parametrize("name", INGREDIENTS)
def test_every_ingredient_goes_on_where_it_was(name):
    assert_resumes(PLAIN | INGREDIENTS[name])


@pytest.mark.parametrize("name", OTHERS)
def test_every_optimiser_precision_and_loader_goes_on_where_it_was(name):
    assert_resumes(PLAIN | OTHERS[name])


def test_no_ingredient_is_forgotten():
    # CUDA graphs replay the steps of a GPU, whose memory `put` keeps; huge pages change where tensors are alone.
    assert {*INGREDIENTS, "cuda_graph", "huge_pages"} == set(Recipe._kinds())


def test_a_users_network_goes_on_with_its_random_draws_and_attributes(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    assert_resumes(PLAIN | {"model": f"{tmp_path / 'net.py'}:Net"})


def test_the_state_after_an_epoch_is_another_after_the_next():
    """What the other tests compare would otherwise be nothing."""
    states = []
    trained(PLAIN | INGREDIENTS["ema"], states)
    with pytest.raises(AssertionError):
        assert_equal(states[0]["hooks"], states[1]["hooks"])
    with pytest.raises(AssertionError):
        assert_equal(states[0]["optimizers"], states[1]["optimizers"])


def test_what_no_file_can_hold_is_named():
    with pytest.raises(NotKept, match=r"the training\.optimizers holds a function, and a checkpoint keeps only"):
        check({"optimizers": check})

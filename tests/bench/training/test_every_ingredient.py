"""Each ingredient with each: whatever a recipe combines trains, and counts what it has done."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.host.clock import Clock
from bench.ingredients.cutmix import CutMix
from bench.ingredients.distillation import Distillation
from bench.ingredients.ema import Ema
from bench.ingredients.ghost_batch_norm import GhostBatchNorm2d
from bench.ingredients.hard_examples import HardExamples
from bench.ingredients.lookahead import Lookahead
from bench.ingredients.proxy import Proxy
from bench.measures import assembly
from bench.models import ImpossibleModel
from bench.pipelines.augment import Augment
from bench.pipelines.datasets import load_dataset
from bench.pipelines.loader import Placement
from bench.pipelines.loaders import make_loader
from bench.spec.recipe import Recipe
from bench.training.device import Device
from bench.training.precision import Precision
from tests.bench.training.teachers import untrained_teacher

DATA = {"name": "random", "shape": [3, 8, 8], "classes": 4, "train_count": 16, "test_count": 8}
MODELS = (
    {"name": "speedrun", "widths": [4, 6]},
    {"name": "darknet", "blocks": [1, 1], "width": 4},
)


@pytest.fixture(scope="module")
def data():
    return load_dataset("random", data_dir=None, options={k: v for k, v in DATA.items() if k != "name"})


def trained(recipe, data):
    """A trainer after the whole run of a recipe on these images."""
    torch.manual_seed(0)
    precision = Precision(recipe.precision, Device("cpu"), bool(recipe.half_norms))
    memory_format = assembly.MEMORY_FORMATS[recipe.memory_format]
    placement = Placement(torch.device("cpu"), precision.inputs, memory_format)
    augment = Augment(**recipe.augment.model_dump(exclude={"then"}))
    model = assembly.build_model(recipe, data)
    assembly.init_from_data(model, data, torch.device("cpu"))
    precision.prepare(model, memory_format)
    with (
        make_loader("resident", data, "train", recipe.batch_size, augment, placement, seed=0) as train,
        make_loader("resident", data, "test", 4, Augment(), placement, seed=0) as test,
    ):
        nets = untrained_teacher(recipe, data, precision, memory_format)
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
        trainer.run()
    return trainer


def maybe(**fields):
    return st.none() | st.fixed_dictionaries(fields)


decays = {"weight_decay": st.sampled_from([0.0, 0.01]), "decoupled": st.sampled_from([None, True, False])}
optimizers = {
    "sgd": {"momentum": st.sampled_from([0.5, 0.9]), "nesterov": st.booleans()},
    "adamw": {"betas": st.just([0.9, 0.99])},
    "muon": {
        "momentum": st.just(0.6),
        "unit_filters": st.booleans(),
        "unit_filters_every": st.sampled_from([None, [1, 3]]),
        "newton_schulz_coefficients": st.sampled_from([None, [3.4576, -4.7391, 2.0843]]),
        "newton_schulz_form": st.sampled_from([None, "gram"]),
    },
}
# Muon trains matrices alone, and each network has other roles beside them.
stops = st.sampled_from([{}, {"epochs": 0.5}, {"epochs": 0.5, "squeeze": False}])
vectors = st.sampled_from(["sgd", "adamw"]).flatmap(
    lambda name: st.builds(
        dict.__or__, st.fixed_dictionaries({"name": st.just(name), "lr": st.just(0.01), **decays}), stops
    )
)


def optimizer_of(name):
    settings = {"name": st.just(name), "lr": st.just(0.01), **optimizers[name], **decays}
    return st.fixed_dictionaries(settings)


recipes = st.fixed_dictionaries(
    {
        "data": st.just(DATA),
        "model": st.sampled_from(MODELS),
        "batch_size": st.just(8),
        "epochs": st.just(1),
        "optimizer": st.sampled_from(sorted(optimizers)).flatmap(optimizer_of),
        "schedule": st.sampled_from(
            [
                "constant",
                "linear",
                {"name": "linear", "end": 0.05, "until": 0.5},
                "triangular",
                "one_cycle",
                "step",
                "cosine",
            ]
        ),
        "lr_warm_up": maybe(epochs=st.sampled_from([0.5, 1.0]), start=st.sampled_from([0.0, 0.1])),
        "loss": st.fixed_dictionaries(
            {"label_smoothing": st.sampled_from([0.0, 0.2]), "reduction": st.sampled_from(["mean", "sum"])}
        ),
        "distillation": maybe(
            teacher=st.just("some"),
            temperature=st.sampled_from([1.0, 4.0]),
            share=st.sampled_from([0.5, 1.0]),
            mirror=st.booleans(),
        ),
        "lookahead": maybe(every=st.just(1), decay=st.just(0.9)),
        "ema": maybe(decay=st.just(0.9), every=st.just(1), start=st.sampled_from([0.0, 0.5])),
        "augment": st.fixed_dictionaries(
            {
                "flip": st.sampled_from(["none", "random", "alternating"]),
                "shift_pixels": st.sampled_from([0, 2]),
                "pad": st.sampled_from(["reflect", "zero"]),
                "cutout_pixels": st.sampled_from([0, 3]),
                "brightness": st.sampled_from([0.0, 0.1]),
                "contrast": st.sampled_from([0.0, 0.1]),
            }
        ),
        "cutmix": maybe(alpha=st.sampled_from([0.5, 1.0]), probability=st.just(1.0)),
        "image_sizes": st.sampled_from([None, [{"pixels": 6, "until": 0.5}], [{"pixels": 6, "until": 1.0}]]),
        "antialias": st.booleans(),
        "half_norms": st.booleans(),
        "drop_easy": st.sampled_from([None, {"kept": 0.5, "start": 0.0}]),
        "proxy": st.sampled_from([None, {"kept": 0.5, "every": 2, "model": {}}]),
        "batch_sizes": maybe(stages=st.just([{"examples": 4, "until": 0.5}]), scale_lr=st.booleans()),
        "accumulate": st.sampled_from([None, 1, 2]),
        "ghost_batch": st.sampled_from([None, 2, 3]),
        "freeze": st.sampled_from([None, [{"part": "head", "after": 0.5}]]),
        "evaluation": st.fixed_dictionaries({"tta": st.just(2), "equal_views": st.sampled_from([None, True])})
        | st.fixed_dictionaries({"tta": st.sampled_from([0, 1])}),
        "memory_format": st.sampled_from(["channels_last", "contiguous"]),
        "precision": st.sampled_from(["fp32", "bf16", "fp16", "pure_fp16", "pure_bf16"]),
    }
)


@settings(max_examples=40)
@given(values=recipes, vectors=vectors)
def test_any_combination_trains(data, values, vectors):
    if values["optimizer"]["name"] == "muon":
        others = ["biases", "whiten_bias"] if values["model"]["name"] == "speedrun" else ["biases", "norm_weights"]
        values = values | {"optimizer": values["optimizer"] | {"groups": dict.fromkeys(others, vectors)}}
    if values["drop_easy"]:
        # The loss of a mixed image is nobody's; together the two are refused.
        values = values | {"cutmix": None, "batch_sizes": None, "proxy": None}
    if values["proxy"] and values["batch_sizes"]:
        # Half of 4 images in two parts is one image each, of which a batch norm has no statistics.
        values = values | {"accumulate": None}
    if not values["image_sizes"]:
        values = values | {"antialias": True}
    if not values["precision"].startswith("pure_"):
        values = values | {"half_norms": False}
    if not values["optimizer"].get("unit_filters"):
        values = values | {"optimizer": values["optimizer"] | {"unit_filters_every": None}}
    optimizer = values["optimizer"]
    names = {optimizer["name"], *(group["name"] for group in optimizer.get("groups", {}).values())}
    if values["precision"] == "pure_fp16" and "adamw" in names:
        with pytest.raises(ValidationError, match="adamw divides by squares of gradients"):
            Recipe.model_validate(values)
        return
    recipe = Recipe.model_validate(values)
    trainer = trained(recipe, data)
    hooks = {
        CutMix: recipe.cutmix,
        HardExamples: recipe.drop_easy,
        Proxy: recipe.proxy,
        Distillation: recipe.distillation,
        Lookahead: recipe.lookahead,
        Ema: recipe.ema,
    }
    assert [type(hook) for hook in trainer.train_step.hooks] == [kind for kind, on in hooks.items() if on]
    ghosts = [module for module in trainer.model.modules() if isinstance(module, GhostBatchNorm2d)]
    assert {ghost.size for ghost in ghosts} == ({recipe.ghost_batch.root} if recipe.ghost_batch else set())
    assert math.isfinite(trainer.rows[-1]["loss"])
    assert all(value.isfinite().all() for value in trainer.model.state_dict().values() if value.is_floating_point())
    assert 0 <= trainer.accuracy <= 1
    passes = 0.5 if recipe.drop_easy else 1
    kept = recipe.proxy.kept if recipe.proxy else 1
    assert trainer.step == trainer.total_steps == (3 if recipe.batch_sizes else 2 * passes)
    assert trainer.examples == sum(trainer.examples_by_work.values()) == 16 * passes * kept
    assert trainer.epochs == passes


def test_images_too_small_for_the_network_are_refused_before_it_is_trained(data):
    values = {
        "data": DATA,
        "model": MODELS[0],
        "batch_size": 8,
        "epochs": 1,
        "optimizer": {"lr": 0.1},
        "image_sizes": [{"pixels": 6, "until": 0.4}, {"pixels": 3, "until": 0.5}],
    }
    message = r"image_sizes.1.pixels: 3 does not suit this network: .*2 groups halve the image to nothing at 3 pixels"
    with pytest.raises(ImpossibleModel, match=message):
        assembly.build_model(Recipe.model_validate(values), data)


def test_freezing_what_is_not_there_is_refused_with_what_is(data):
    values = {"data": DATA, "model": MODELS[0], "batch_size": 8, "epochs": 1, "optimizer": {"lr": 0.1}}
    recipe = Recipe.model_validate(values | {"freeze": [{"part": "group.1", "after": 0.5}]})
    message = r"freeze.0.part: this network has no 'group.1' \(did you mean 'groups.1', .*\); there are: whiten, .*head"
    with pytest.raises(ImpossibleModel, match=message):
        assembly.build_model(recipe, data)


def test_a_size_schedule_leaves_the_networks_first_weights_as_they_were(data):
    weights = []
    for sizes in (None, [{"pixels": 6, "until": 0.5}]):
        values = {"data": DATA, "model": MODELS[1], "batch_size": 8, "epochs": 1, "optimizer": {"lr": 0.1}}
        torch.manual_seed(0)
        model = assembly.build_model(Recipe.model_validate(values | {"image_sizes": sizes}), data)
        assert model.training
        weights.append([*model.state_dict().values(), torch.randn(3)])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))

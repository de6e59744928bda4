"""A new ingredient is one class, and one field of the recipe: whatever asks for ingredients finds it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest
import torch
from pydantic import ValidationError

from bench.documents.numbers import Fraction
from bench.documents.strict import Strict
from bench.errors import UsageError
from bench.ingredients.ingredient import Ingredient, RecipeFacts, TrainingParts
from bench.measures import assembly, text
from bench.pipelines.datasets import load_dataset
from bench.profiling.demand import demand
from bench.profiling.footprint import footprint
from bench.profiling.workbench import Workbench
from bench.runs.run import cell_id
from bench.spec.recipe import Recipe
from bench.training.hook import Hook, overridden

VALUES = {
    "data": {"name": "random", "shape": [3, 8, 8], "classes": 4, "train_count": 16, "test_count": 8},
    "model": {"name": "darknet", "blocks": [1, 1], "width": 4},
    "batch_size": 8,
    "epochs": 1,
    "precision": "fp32",
    "optimizer": {"lr": 0.1},
}


class NoiseConfig(Strict, Ingredient):
    share: Fraction

    suits_text: ClassVar[bool] = False
    why_no_graph: ClassVar[str | None] = "draws on the host"

    def check(self, key: str, recipe: RecipeFacts) -> None:
        if "ema" in recipe.ingredients:
            raise ValueError(f"{key}: averages would hide it; leave out ema")

    @property
    def period(self) -> int:
        return 3

    def hooks(self, parts: TrainingParts) -> Iterator[Hook]:
        yield Noise(parts.model)


class Noise(Hook):
    def __init__(self, model: torch.nn.Module) -> None:
        self.model, self.steps = model, []

    def networks(self) -> list[torch.nn.Module]:
        return [torch.nn.Linear(9, 1, bias=False)]

    def average_bytes(self) -> int:
        return 5

    def after_step(self, step: int, total_steps: int) -> None:
        self.steps.append((step, total_steps))


class WithNoise(Recipe):
    noise: NoiseConfig | None = None


def test_its_hook_is_called_in_the_loop():
    recipe = WithNoise.model_validate(VALUES | {"noise": {"share": 0.5}})
    workbench = Workbench(recipe, "cpu", load_dataset("random", options=recipe.data.options))
    with assembly.build_loader(recipe, workbench.data, "train", workbench.placement, 0, None, None) as train:
        trainer = workbench.trainer(train)
        trainer.run()
    (noise,) = trainer.train_step.hooks
    assert noise.model is workbench.model
    assert noise.steps == [(1, 2), (2, 2)]


def test_its_networks_averages_and_period_are_counted():
    plain, noisy = Recipe.model_validate(VALUES), WithNoise.model_validate(VALUES | {"noise": {"share": 0.5}})
    before, after = (footprint(recipe, "cpu") for recipe in (plain, noisy))
    assert after.weight_bytes - before.weight_bytes == after.gradient_bytes - before.gradient_bytes == 9 * 4
    assert (before.average_bytes, after.average_bytes) == (0, 5)
    assert [(work.title, work.times) for work in demand(noisy) if work.is_step] == [
        ("step at 8 px", 1),
        ("step at 8 px, noise", 1),
    ]


def test_its_conflicts_are_its_own():
    with pytest.raises(ValidationError, match="noise: averages would hide it"):
        WithNoise.model_validate(VALUES | {"noise": {"share": 0.5}, "ema": {"decay": 0.9}})
    graph = {"cuda_graph": True, "warm_up_steps": 1, "noise": {"share": 0.5}}
    with pytest.raises(ValidationError, match=r"cuda_graph: .* does not go with noise: draws on the host"):
        WithNoise.model_validate(VALUES | graph)
    with pytest.raises(UsageError, match="noise: random is a text, which this does not suit"):
        text.check_suits_text(WithNoise.model_validate(VALUES | {"noise": {"share": 0.5}}))


def test_a_recipe_without_it_is_the_cell_that_it_was():
    assert cell_id(WithNoise.model_validate(VALUES).config()) == cell_id(Recipe.model_validate(VALUES).config())


def test_what_a_hook_leaves_out_is_not_called():
    noise = Noise(torch.nn.Identity())
    assert overridden([noise, Hook()], "after_step") == [noise.after_step]
    assert [overridden([noise], name) for name in ("epoch", "choose", "mix", "note")] == [[]] * 4

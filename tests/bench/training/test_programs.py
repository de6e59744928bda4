"""Which programs torch.compile makes of each recipe that compiles on a GPU: noted by a backend that compiles nothing.

A program more than the recipe needs is a pause in the middle of a training that is timed, a symbolic one is slower, and
a graph that breaks is none.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch._dynamo

from bench.host.clock import Clock
from bench.ingredients.proxy import Proxy
from bench.measures import assembly
from bench.pipelines.datasets import load_dataset
from bench.profiling.workbench import Workbench
from bench.spec import recipes
from bench.spec.recipe import Recipe
from bench.training.trainer import Trainer

COMPILING = [name for name in recipes.names() if recipes.load(name, "cuda").compile]
# A run of six batches an epoch: a role that stops after a fifth of the first still does so after a batch.
STEPS_PER_EPOCH = 6
SMALL = ["model.widths=[4, 8, 8]", "model.whiten_images=64", "cuda_graph=false", "target_accuracy=null"]


@dataclass(frozen=True)
class Program:
    """What one is for: training or not, the shape of its images, and how many of its inputs need a gradient."""

    trains: bool
    images: tuple[int, ...]
    gradients: int


class Noting:
    """A backend of torch.compile that runs each program as it is."""

    def __init__(self) -> None:
        self.programs: list[Program] = []
        self.symbolic = 0

    def __call__(self, graph: Any, inputs: list[Any]) -> Any:
        self.symbolic += any(isinstance(value, torch.SymInt) for value in inputs)
        tensors = [value for value in inputs if isinstance(value, torch.Tensor)]
        images = next((tuple(value.shape) for value in tensors if value.ndim == 4 and value.shape[-1] >= 8), ())
        gradients = sum(value.requires_grad for value in tensors)
        self.programs.append(Program(torch.is_grad_enabled(), images, gradients))
        return graph.forward


@pytest.fixture(autouse=True)
def _forgotten():
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        yield
    torch._dynamo.reset()


def small(name: str, *settings: str) -> tuple[Recipe, int]:
    """The recipe's CUDA form on small batches, and how many test images: these numbers stand as the recipe's do."""
    whole = recipes.load(name, "cuda")
    train, test = 8, 8 if whole.evaluation.batch_size == whole.batch_size else 12
    recipe = recipes.load(name, "cuda", [*SMALL, f"batch_size={train}", f"evaluation.batch_size={test}", *settings])
    left_over = 5 if 10_000 % whole.evaluation.batch_size else 0
    return recipe, 2 * test + left_over


def shortened(name: str) -> str:
    # The fourth epoch is the first after every role that stops early.
    return f"epochs={min(4, recipes.load(name, 'cuda').epochs)}"


def alike() -> list[list[str]]:
    """The recipes that compile, those together that are the same when they are small and shortened."""
    groups = defaultdict(list)
    for name in COMPILING:
        recipe, test_count = small(name, shortened(name))
        groups[recipes.identify(recipe.config(), "cuda", "time_to_accuracy")[1], test_count].append(name)
    return list(groups.values())


def trainer_of(name: str, backend: Noting, monkeypatch: pytest.MonkeyPatch, *settings: str) -> Trainer:
    recipe, test_count = small(name, *settings)
    counts = {"train_count": STEPS_PER_EPOCH * recipe.batch_size + 3, "test_count": test_count}
    data = load_dataset("random", options={"shape": [3, 32, 32], "classes": 10, **counts})
    bench = Workbench(recipe, "cpu", data)
    loaders = [
        assembly.build_loader(recipe, data, split, bench.placement, 0, None, None) for split in ("train", "test")
    ]
    own = torch.compile
    monkeypatch.setattr(torch, "compile", lambda net, **options: own(net, **options | {"backend": backend}))
    return assembly.build_trainer(
        recipe, bench.model, bench.precision, *loaders, Clock(), lambda _: None, fused=True, data=data
    )


def check(name: str, monkeypatch: pytest.MonkeyPatch, *settings: str) -> Noting:
    noting = Noting()
    trainer = trainer_of(name, noting, monkeypatch, *settings)
    freezings = len(trainer.train_step.make_optimizers().ends)
    trainer.warm_up(1, *next(iter(trainer.train.epoch(0))))
    warm = list(noting.programs)
    trainer.run()
    assert noting.programs[len(warm) :] == []
    assert noting.symbolic == 0
    assert not torch._dynamo.utils.counters["graph_break"]
    assert [program for program, count in Counter(warm).items() if count > 1] == []
    # A form of training is a shape and a set of what is trained; each may be evaluated, on batches of two sizes.
    forms = len({(stage.pixels, stage.steps) for stage in trainer.curriculum.stages}) + freezings
    test_shapes = 1 + math.ceil(len(trainer.test.images) % trainer.test.batch_size / trainer.test.batch_size)
    # A proxy is another network, which sees each form of training in two ways.
    proxied = forms if any(isinstance(hook, Proxy) for hook in trainer.train_step.hooks) else 0
    assert sum(program.trains for program in warm) <= forms + proxied
    assert sum(not program.trains for program in warm) <= test_shapes * (1 + freezings) + proxied
    return noting


def test_a_recipe_has_one_program_for_each_need(monkeypatch):
    noting = check("speedrun94_hiverge", monkeypatch, "epochs=2")
    assert [program.trains for program in noting.programs] == [True, False, True, False]


@pytest.mark.slow  # ten to twenty seconds each
@pytest.mark.parametrize("names", alike(), ids=", ".join)
def test_every_compiled_recipe_has_one_program_for_each_need(names, monkeypatch):
    check(names[0], monkeypatch, shortened(names[0]))


@pytest.mark.slow  # as those above
def test_a_shape_that_the_warm_up_did_not_see_is_told(monkeypatch):
    """The check fails where a program comes late, as one would for a batch size of its own."""
    own = Trainer.warm_up
    monkeypatch.setattr(Trainer, "warm_up", lambda self, steps, x, y: own(self, steps, x[:7], y[:7]))
    with pytest.raises(AssertionError):
        check("speedrun94", monkeypatch, "epochs=1")


@pytest.mark.slow
def test_a_graph_that_breaks_is_told(monkeypatch):
    from bench.models.speedrun import SpeedrunNet

    own = SpeedrunNet.forward

    def broken(self: SpeedrunNet, images: torch.Tensor) -> torch.Tensor:
        torch._dynamo.graph_break()
        return own(self, images)

    monkeypatch.setattr(SpeedrunNet, "forward", broken)
    with pytest.raises(AssertionError, match="Counter"):
        check("speedrun94", monkeypatch, "epochs=1")

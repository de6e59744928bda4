"""What the harness costs: its training loop beside the same steps in a bare script.

Run with `pytest tests/benchmarks/test_loop.py --benchmark-only`; the line at the end is the result. The two
take turns, so that a drift of the machine hits both alike.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from pytest_benchmark.fixture import BenchmarkFixture

from bench.host.clock import Clock
from bench.models.darknet import Darknet
from bench.pipelines.augment import Augment
from bench.pipelines.datasets import load_dataset
from bench.pipelines.loader import Placement
from bench.pipelines.loaders import make_loader
from bench.training.device import Device
from bench.training.goal import Goal
from bench.training.loss import Loss
from bench.training.optimizers import Optimizers, roles
from bench.training.precision import Precision
from bench.training.schedules import linear
from bench.training.step import TrainingStep
from bench.training.trainer import Trainer

ROUNDS = 21
EPOCHS = 1
LR, MOMENTUM = 0.05, 0.9


@pytest.fixture
def loaders():
    options = {"shape": [3, 32, 32], "train_count": 768, "test_count": 64}
    data = load_dataset("random", options=options)
    place = Placement(torch.device("cpu"))
    train = make_loader("resident", data, "train", 64, Augment("random", shift_pixels=4), place, seed=0)
    return train, make_loader("resident", data, "test", 64, Augment(), place, seed=0)


def network() -> Darknet:
    torch.manual_seed(0)
    return Darknet(blocks=(1, 1, 1), width=16).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def bare_script(train) -> float:
    """Train as a script does that measures nothing; seconds of the steps."""
    model = network()
    groups = [{"params": parameters} for parameters in roles(model).values()]
    optimizer = torch.optim.SGD(groups, lr=LR, momentum=MOMENTUM, nesterov=True)
    total_steps, step = EPOCHS * train.steps_per_epoch, 0
    started_s = time.perf_counter()
    for epoch in range(EPOCHS):
        for images, labels in train.epoch(epoch):
            for group in optimizer.param_groups:
                group["lr"] = LR * (1 - step / total_steps)
            loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
    return time.perf_counter() - started_s


def harness(train, test) -> float:
    """The same steps by the trainer; seconds of its `train` spans."""
    model = network()
    common = {"name": "sgd", "lr": LR, "momentum": MOMENTUM, "nesterov": True}
    train_step = TrainingStep(
        model,
        model,
        lambda: Optimizers(model, common, {}, linear(), trainer.total_steps, train.steps_per_epoch),
        Precision("fp32", Device("cpu")),
        Loss(),
    )
    trainer = Trainer(train_step, train, test, Goal(epochs=EPOCHS, eval_every_epochs=0), Clock())
    trainer.run()
    return trainer.clock.total_s("train")


def test_the_harness_beside_a_bare_script(benchmark: BenchmarkFixture, loaders, tell: Callable[[str], None]) -> None:
    train, test = loaders
    seconds: dict[str, list[float]] = {"bare script": [], "harness": []}

    def round_of(name: str, run: Callable[[], float]) -> None:
        seconds[name].append(run())

    bare_script(train)
    harness(train, test)

    def pair() -> None:
        arms = [("bare script", lambda: bare_script(train)), ("harness", lambda: harness(train, test))]
        # A B, then B A: whoever comes second in a round has no lasting advantage.
        for name, run in arms if len(seconds["harness"]) % 2 else reversed(arms):
            round_of(name, run)

    benchmark.pedantic(pair, rounds=ROUNDS, warmup_rounds=0)
    ratios = [ours / bare for ours, bare in zip(seconds["harness"], seconds["bare script"], strict=True)]
    best = min(seconds["harness"]) / min(seconds["bare script"])
    benchmark.extra_info |= {"median_ratio": statistics.median(ratios), "ratio_of_minima": best}
    tell(
        f"harness / bare script: median ratio {statistics.median(ratios):.4f} (n = {len(ratios)}), "
        f"ratio of the fastest {best:.4f}"
    )

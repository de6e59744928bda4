"""Trains a small network from its shard of the digits, as `test_distributed.py` asks: the script of each rank.

python two_ranks.py FOLDER, alone or below torch.distributed.run, writes FOLDER/RANK.pt.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.host.clock import Clock, Span
from bench.pipelines.augment import Augment
from bench.pipelines.datasets import load_dataset
from bench.pipelines.loader import Loader, Placement, Shard
from bench.pipelines.loaders import make_loader
from bench.training import evaluation
from bench.training.device import Device
from bench.training.goal import Goal
from bench.training.loss import Loss
from bench.training.optimizers import Optimizers
from bench.training.precision import Precision
from bench.training.ranks import ALONE, Ranks
from bench.training.schedules import linear
from bench.training.step import TrainingStep
from bench.training.trainer import Trainer

BATCH_SIZE = 60


def network(norm: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    norms = [nn.BatchNorm2d(8)] if norm else []
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1), *norms, nn.ReLU(), nn.Conv2d(8, 16, 3), nn.Flatten(), nn.Linear(64, 10)
    )


def loader(split: str, ranks: Ranks, device: Device) -> Loader:
    data = load_dataset("digits")
    augment = Augment(flip="random", shift_pixels=1)
    shard = Shard(ranks.rank, ranks.count)
    size = BATCH_SIZE // ranks.count if split == "train" else 100
    return make_loader("resident", data, split, size, augment, Placement(device.torch), 0, shard=shard)  # type: ignore[arg-type]


def train(
    ranks: Ranks, device: Device, optimizer: dict[str, Any], reduction: str, accumulate: int = 1
) -> dict[str, Any]:
    """One epoch in fp32: the gradients of its first step, and the weights, loss and accuracy at its end."""
    model = network()
    first: dict[str, Tensor] = {}
    batches = loader("train", ranks, device)
    train_step = TrainingStep(
        model,
        ranks.wrap(model),
        lambda: Optimizers(model, optimizer, {}, linear(), batches.steps_per_epoch, batches.steps_per_epoch),
        Precision("fp32", device),
        Loss(reduction=reduction),
        accumulate=accumulate,
        ranks=ranks,
    )
    trainer = Trainer(train_step, batches, loader("test", ranks, device), Goal(epochs=1), Clock())
    step = train_step.precision.step

    def keep_the_first(optimizers: list[torch.optim.Optimizer]) -> None:
        if not first:
            first.update(
                {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}
            )
        step(optimizers)

    train_step.precision.step = keep_the_first  # type: ignore[method-assign]
    trainer.run()
    return {
        "gradients": first,
        "weights": model.state_dict(),
        "loss": trainer.rows[0]["loss"],
        "accuracy": trainer.accuracy,
        "examples": trainer.examples,
    }


def evaluate(ranks: Ranks, device: Device) -> dict[str, Any]:
    """Accuracy where every rank has other batch statistics, and these afterwards; and a phase with the ranks' times."""
    model = network(norm=True)
    norm = model[1]
    assert isinstance(norm, nn.BatchNorm2d)
    torch.nn.init.constant_(norm.running_mean, float(ranks.rank))  # type: ignore[arg-type]
    test = loader("test", ranks, device)
    accuracy = evaluation.evaluate(model, test.epoch(0), Precision("fp32", device), ranks=ranks).accuracy
    span = ranks.slowest(Span("train", 1.0, 2.0 + ranks.rank, epoch=3))
    count = sum(len(labels) for _, labels in test.epoch(0))
    return {"accuracy": accuracy, "running_mean": norm.running_mean, "span": span, "images": count}


def main(folder: Path) -> None:
    device = Device("cpu", threads=1)
    ranks: Ranks = ALONE
    if "RANK" in os.environ:
        from bench.training.distributed import Together

        ranks = Together(device)
    sgd = {"name": "sgd", "lr": 0.1, "momentum": 0.9}
    adamw = {"name": "adamw", "lr": 0.01}
    results = {
        "mean": train(ranks, device, sgd, "mean"),
        "sum": train(ranks, device, sgd | {"lr": 0.1 / BATCH_SIZE}, "sum"),
        "adamw": train(ranks, device, adamw, "mean"),
        "accumulate": train(ranks, device, sgd, "mean", accumulate=3),
        "evaluate": evaluate(ranks, device),
    }
    torch.save(results, folder / f"{ranks.rank}.pt")
    ranks.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    # A rank of a run, a child of multiprocessing's fork server, leaves in this way too. Tearing the interpreter down is
    # what torch's threads have aborted on a busy machine.
    os._exit(0)

"""The other hot parts: augmentation, optimiser steps, the expansion of a matrix, and the start of the command line."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.models.darknet import Darknet
from bench.pipelines.augment import Augment
from bench.pipelines.dataset import Dataset
from bench.pipelines.datasets import load_dataset
from bench.pipelines.loader import Placement
from bench.pipelines.render import Canvas, Renderer
from bench.profiling.timer import device_seconds
from bench.spec import matrix
from bench.training.optimizers import Optimizers, roles
from bench.training.schedules import linear

BATCH_SIZE = 512
AUGMENTS = {
    "none": Augment(),
    "flip": Augment(flip="random"),
    "shift": Augment(shift_pixels=4),
    "cutout": Augment(cutout_pixels=8),
    "jitter": Augment(brightness=0.1, contrast=0.1),
    "all": Augment("random", 4, "reflect", 8, 0.1, 0.1),
}
SGD = {"name": "sgd", "lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": SGD,
    "adamw": {"name": "adamw", "lr": 0.001},
    "muon": {"name": "muon", "lr": 0.01, "newton_schulz_steps": 3},
    "muon_gram": {"name": "muon", "lr": 0.01, "newton_schulz_steps": 3, "newton_schulz_form": "gram"},
}

on_device = pytest.mark.benchmark(timer=device_seconds, min_rounds=5, max_time=0.5, warmup=True, warmup_iterations=2)


@pytest.fixture(scope="module")
def noise() -> Dataset:
    return load_dataset("random", options={"train_count": 2 * BATCH_SIZE, "test_count": 1})


@pytest.fixture
def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@on_device
@pytest.mark.parametrize("name", AUGMENTS)
def test_augment_a_batch(name: str, noise: Dataset, device: torch.device, benchmark: BenchmarkFixture) -> None:
    """From pixels in memory to a normalised batch, with the draws made before."""
    augment, place = AUGMENTS[name], Placement(device)
    canvas = Canvas(torch.from_numpy(noise.train.images).to(device).permute(0, 2, 3, 1), augment)
    renderer = Renderer(noise, augment, place)
    images = torch.randperm(len(noise.train))[:BATCH_SIZE].to(device)
    draws = augment.draw(0, 0, len(noise.train), *noise.image_shape[1:]).to(device)[images]
    batch = benchmark(lambda: renderer.render(canvas, images, draws))
    assert batch.shape == (BATCH_SIZE, *noise.image_shape)


@on_device
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_step(name: str, device: torch.device, benchmark: BenchmarkFixture) -> None:
    """One step of every parameter of a small Darknet, with the gradients there."""
    model = Darknet(blocks=(1, 1, 1), width=32).to(device)
    groups = {role: SGD for role in roles(model) if role != "filters"} if name.startswith("muon") else {}
    optimizers = Optimizers(model, OPTIMIZERS[name], groups, linear(), 1000, 100)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    before = [parameter.clone() for parameter in model.parameters()]

    def step() -> None:
        optimizers.set_progress(0)
        for optimizer in optimizers.all:
            optimizer.step()

    benchmark(step)
    assert all(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


def test_expand_a_matrix(benchmark: BenchmarkFixture) -> None:
    """Reading the shipped digits matrix and checking every cell of it."""
    cells = benchmark.pedantic(lambda: matrix.expand(matrix.load("digits"), "cpu"), rounds=5, warmup_rounds=1)
    assert len(cells) > 1


@pytest.mark.parametrize("arguments", [["--help"], ["recipes"]], ids=" ".join)
def test_start_of_the_command_line(arguments: list[str], benchmark: BenchmarkFixture) -> None:
    """A process from nothing; torch is not imported for it."""

    def call() -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "bench", *arguments], capture_output=True, text=True, check=True)

    assert benchmark.pedantic(call, rounds=5, warmup_rounds=1).stdout

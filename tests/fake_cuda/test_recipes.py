"""Every shipped recipe's on_cuda form, from its loader to its last evaluation, on a GPU that computes nothing.

It tells a tensor on the wrong device, a wait of the host within an epoch, a copy from memory that is not pinned or must
be pinned first, and a memory format that is lost on the way.
"""

from __future__ import annotations

from typing import Any

import pytest

from bench.profiling.demand import demand
from bench.spec import recipes
from bench.spec.recipes import trained_names
from tests.fake_cuda.plants import PLANTS
from tests.fake_cuda.process import WITHOUT_CUDNN, NoFakeGpu, guard, train_on_fake_gpu

# The first test of each kind waits for the runs of all.
pytestmark = pytest.mark.timeout(1000)

SMALL = ["model.widths=[4, 8, 8]", "batch_size=16", "evaluation.batch_size=16", "model.whiten_images=64"]
GRAPH = ["cuda_graph=true", "warm_up_steps=1"]
SIZES = ["image_sizes=[{pixels: 16, until: 0.3}, {pixels: 24, until: 0.6}]"]
HARD = ["drop_easy={kept: 0.5, start: 0.3}"]
PARTS = ("forward", "backward", "loss", "optimiser")
# What cannot be otherwise: Muon under a loss scaler, in a recipe that is meant for a CPU and the one that extends it.
KNOWN = dict.fromkeys(("cifar94_cpu", "features_cifar10"), "wait: _local_scalar_dense at bench/training/precision.py")


@pytest.fixture(scope="module", autouse=True)
def _fake_gpu():
    try:
        guard()
    except NoFakeGpu as lack:
        pytest.skip(str(lack))


RUNS = {
    "a graph": ("speedrun94_hiverge", [*SMALL, *GRAPH]),
    "several image sizes in graphs": ("cifar94", [*SMALL, *SIZES, *GRAPH, "lookahead={every: 2}"]),
    "hard examples, unsure answers": (
        "cifar94",
        [*SMALL, *HARD, "cuda_graph=false", "evaluation.tta_below=0.5", "ema={decay: 0.9}"],
    ),
    "a teacher": (
        "cifar94_inference",
        [*SMALL, "epochs=1", "distillation={teacher: cifar94_inference, mirror: true}", "cutmix={probability: 1}"],
    ),
}


def check(name: str, report: dict[str, Any]) -> None:
    known = KNOWN.get(name)
    assert [fault for fault in report["faults"] if not (known and fault.startswith(known))] == []
    assert report["weights_on"] == ["cuda:0"]
    assert report["steps"] >= report["epochs"] > 0


@pytest.fixture(scope="module")
def reports() -> dict[str, dict[str, Any]]:
    """Of RUNS, and of one of them with each fault planted; in one process, because each would have to import torch."""
    jobs: dict[str, Any] = {title: {"recipe": name, "settings": settings} for title, (name, settings) in RUNS.items()}
    jobs |= {plant: {"recipe": "speedrun94", "settings": [*SMALL, "epochs=1"], "plant": plant} for plant in PLANTS}
    jobs["counts"] = {"recipe": "speedrun94", "settings": [], "parts": PARTS}
    return dict(zip(jobs, train_on_fake_gpu(list(jobs.values())), strict=True))


@pytest.fixture(scope="module")
def shipped() -> dict[str, dict[str, Any]]:
    jobs = [{"recipe": name, "settings": WITHOUT_CUDNN.get(name, [])} for name in trained_names()]
    return dict(zip(trained_names(), train_on_fake_gpu(jobs), strict=True))


@pytest.mark.parametrize("title", RUNS)
def test_nothing_in_a_run_stands_in_a_gpus_way(reports, title):
    check(RUNS[title][0], reports[title])


@pytest.mark.slow  # two minutes for all of them, of their own sizes
@pytest.mark.parametrize("name", trained_names())
def test_nothing_in_a_shipped_recipe_stands_in_a_gpus_way(shipped, name):
    check(name, shipped[name])


@pytest.mark.parametrize("part", PARTS)
def test_a_cpu_counts_what_a_gpu_would_do(reports, part):
    """`bench show` counts steps of two images; here are those of the recipe's own batch, on a GPU's own path."""
    step = next(work for work in demand(recipes.load("speedrun94", "cuda")) if work.is_step)
    counted = [operation for operation in step.operations if operation.part == part]
    there = reports["counts"][part]
    assert [operation.name for operation in counted] == there["operations"]
    assert sum(operation.flops for operation in counted) == there["flops"]
    assert sum(operation.bytes for operation in counted) == pytest.approx(there["bytes"], rel=0.01)


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        ("a constant on the CPU", "device: mul of (16, 10) on cuda, (10,) on cpu"),
        ("an index on the CPU", "device: index of (16, 10) on cuda, (16,) on cpu"),
        ("item", "wait: _local_scalar_dense"),
        ("bool", "wait: _local_scalar_dense"),
        ("nonzero", "wait: nonzero"),
        ("a mask as index", "wait: index by a mask"),
        ("cpu", "wait: _to_copy to the host"),
        ("tolist", "wait: _"),
        ("synchronize", "wait: synchronize"),
        ("a copy of pageable memory", "copy: _to_copy of (16,), from memory that is not pinned"),
        ("a blocking copy", "copy: _to_copy of (16,), a blocking copy"),
        ("a loader that is not warmed up", "pin: 512 bytes"),
        ("pinned memory that is not given back in time", "pin: 512 bytes"),
        ("draws that are pinned when they are sent", "pinned: "),
        ("contiguous images", "layout: convolution: its input (16, 3, 32, 32) is not in channels_last"),
        ("contiguous weights", "layout: convolution: its weight (4, 24, 3, 3) is not in channels_last"),
    ],
)
def test_a_planted_fault_is_told(reports, plant, told):
    assert any(fault.startswith(told) for fault in reports[plant]["faults"]), reports[plant]


def test_every_plant_is_told():
    (mark,) = (mark for mark in test_a_planted_fault_is_told.pytestmark if mark.name == "parametrize")
    assert {plant for plant, _ in mark.args[1]} == set(PLANTS)

"""Estimates how long a run would take on a given card: a roofline of each operation, and the launches.

Williams, Waterman and Patterson, Roofline (CACM 52(4), 2009): an operation takes as long as its products at the matrix
units' rate or its bytes at the memory's, whichever is longer. These are estimates only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from bench.profiling.cards import Card
from bench.profiling.demand import Work
from bench.profiling.operations import Operation
from bench.profiling.step import BACKWARD, FORWARD
from bench.spec.recipe import Recipe

# Assumptions: the reached share of the data sheet's rates, the shortest kernel, and the host's time for a launch.
RATE_SHARE, BANDWIDTH_SHARE = 0.6, 0.8
KERNEL_S, LAUNCH_S = 2e-6, 6e-6
ASSUMPTIONS = (
    f"{RATE_SHARE:.0%} of the card's dense matrix rate, {BANDWIDTH_SHARE:.0%} of its bandwidth, no kernel under "
    f"{KERNEL_S * 1e6:g} µs, and {LAUNCH_S * 1e6:g} µs of the host for each launch, at which it runs ahead of the card"
)
# Reductions, which end a kernel of a compiled network, because the next operation needs their whole result.
REDUCTIONS = {"sum", "mean", "amax", "max", "argmax", "linalg_vector_norm", "_log_softmax", "_softmax", "var_mean",
              "_log_softmax_backward_data", "_adaptive_avg_pool2d"}  # fmt: skip
# Launches for each replay of a graph: the copies of images and labels, and the graph itself.
REPLAY_LAUNCHES = 3


def fused(work: Work) -> Work:
    """The work with the network's operations fused as a compiler is expected to do it.

    The operations between two products form one kernel, and one more after each reduction among them. A kernel reads
    values that it has not computed itself, and writes values used after the next product; other intermediate values are
    recomputed where needed.
    """
    groups: list[list[Operation]] = []
    for operation in work.operations:
        joins = operation.part in (FORWARD, BACKWARD) and not operation.flops
        if joins and groups and groups[-1][-1].part == operation.part and not groups[-1][-1].flops:
            groups[-1].append(operation)
        else:
            groups.append([operation])
    readers: dict[int, set[int]] = defaultdict(set)
    for index, group in enumerate(groups):
        for operation in group:
            for number, _ in operation.reads:
                readers[number].add(index)
    kernels: list[Operation] = []
    for index, group in enumerate(groups):
        # Weights and their states are not read here.
        used_here_alone = {number for number, indices in readers.items() if indices == {index}}
        kernels += group if len(group) == 1 else _joined(group, used_here_alone)
    return replace(work, operations=tuple(kernels))


def _joined(group: Sequence[Operation], used_here_alone: set[int]) -> list[Operation]:
    kernels: list[list[Operation]] = [[]]
    for operation in group:
        kernels[-1].append(operation)
        if _reduces(operation):
            kernels.append([])
    found = []
    for kernel in filter(None, kernels):
        made = {number for operation in kernel for number, _ in operation.writes}
        reads = {number: size for operation in kernel for number, size in operation.reads if number not in made}
        writes = {
            number: size for operation in kernel for number, size in operation.writes if number not in used_here_alone
        }
        dtype = kernel[0].dtype
        found.append(Operation("joined", kernel[0].part, 0, dtype, tuple(reads.items()), tuple(writes.items())))
    return found


def _reduces(operation: Operation) -> bool:
    """Whether the operation is a reduction; batch norm is one only in training, when it saves means."""
    if "batch_norm" in operation.name and "backward" not in operation.name:
        return len(operation.writes) > 1 and operation.writes[1][1] > 0
    return operation.name in REDUCTIONS or "batch_norm" in operation.name


@dataclass(frozen=True)
class Time:
    """The time of one piece of work: the card's, the host's launches, and the longer of both."""

    launches: int
    device_s: float
    host_s: float

    @property
    def step_s(self) -> float:
        return max(self.device_s, self.host_s)


def as_run(work: Work, recipe: Recipe) -> Work:
    """The work in the form in which the recipe runs it: fused if the network is compiled."""
    return fused(work) if recipe.compile else work


def launches(work: Work, recipe: Recipe) -> int:
    """The number of launches by the host in that form."""
    return REPLAY_LAUNCHES if recipe.cuda_graph and work.is_step else len(as_run(work, recipe).operations)


def time(work: Work, recipe: Recipe, card: Card) -> Time:
    """The estimated time of one step of the work, by the card's data sheet."""
    device_s = sum(_operation_s(operation, recipe, card) for operation in as_run(work, recipe).operations)
    count = launches(work, recipe)
    return Time(count, device_s, count * LAUNCH_S)


def run_s(work: Sequence[Work], recipe: Recipe, card: Card) -> tuple[float, float]:
    """Seconds of a run's training, including making batches, and of its evaluations."""
    seconds = {
        evaluates: sum(one.times * time(one, recipe, card).step_s for one in work if one.evaluates is evaluates)
        for evaluates in (False, True)
    }
    return seconds[False], seconds[True]


def _operation_s(operation: Operation, recipe: Recipe, card: Card) -> float:
    half = operation.dtype in (torch.float16, torch.bfloat16)
    with_tf32 = card.tf32_tflops if recipe.precision == "tf32" else None
    tflops = card.half_tflops if half else with_tf32 or card.fp32_tflops
    product_s = operation.flops / (RATE_SHARE * tflops * 1e12)
    return max(product_s, operation.bytes / (BANDWIDTH_SHARE * card.memory_gb_per_s * 1e9), KERNEL_S)

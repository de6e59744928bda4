"""Parameters, FLOPs and memory of a recipe, counted in real training steps of a few images.

FLOPs and saved bytes of a step are a + b·batch, so two small batches determine them for any size; no data is loaded.
The counts are exact, but do not include rounding by allocators or workspace of kernels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.host.fingerprint import native_precision
from bench.measures.assembly import build_loader
from bench.pipelines.loader import Batch
from bench.profiling.operations import Operations
from bench.profiling.stand_in import data_shape, stand_in_data
from bench.profiling.workbench import Workbench, at_full_size, refusals
from bench.spec.recipe import Recipe
from bench.training.activations import KeptActivations, tensor_bytes
from bench.training.examples import Examples
from bench.training.flops import forward_flops
from bench.training.optimizers import Optimizers
from bench.training.precision import Precision

LEAST_IMAGES = 4
# A loss scaler may skip the first steps, which would create the optimisers' state.
MOST_STEPS = 20


@dataclass(frozen=True)
class Footprint:
    """Sizes of a training with `batch_size` images of `image_shape` in each pass of a device, in bytes and FLOP.

    `training_flops_per_example` is for the forward and backward pass; `optimizer_flops_per_step` counts only matrix
    products, as in Muon; `training_flops` is for the whole run of `steps` steps on all devices. Bytes are for one
    device.

    `step_operations` is the number of operations that eager torch dispatches in a step (`bench.profiling.operations`),
    `loader_operations` the number for making a batch, None if that does not happen on the device. `waits` counts those,
    by name, for which the host must wait for a GPU. `counted_on` is the device used for counting.
    """

    precision: str
    image_shape: tuple[int, int, int]
    batch_size: int
    steps: int
    parameters: int
    trainable: int
    forward_flops_per_example: int
    training_flops_per_example: int
    optimizer_flops_per_step: int
    training_flops: int
    weight_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    average_bytes: int
    activation_bytes: int
    batch_bytes: int
    step_operations: int
    loader_operations: int | None
    waits: dict[str, int]
    counted_on: str

    @property
    def total_bytes(self) -> int:
        return (
            self.weight_bytes
            + self.gradient_bytes
            + self.optimizer_bytes
            + self.average_bytes
            + self.activation_bytes
            + self.batch_bytes
        )


@dataclass(frozen=True)
class NoBatches:
    """A stand-in for a loader of which only the length is used."""

    steps_per_epoch: int

    def epoch(self, _epoch: int) -> Iterator[Batch]:
        return iter(())


def footprint(recipe: Recipe, device: str) -> Footprint:
    """Count a recipe's sizes on a device, at full image size and with its largest batch.

    Without a GPU, the CPU is used with the precision and the optimisers that the GPU would have. Raises `UsageError`
    for a network that cannot be built.
    """
    counted_on = device
    if device == "cuda" and not torch.cuda.is_available():
        recipe, counted_on = stand_in(recipe), "cpu"
    shape, _, train_count, _ = data_shape(recipe)
    with refusals():
        noise = stand_in_data(recipe, 64, 1)
    whole = at_full_size(recipe)
    workbench = Workbench(whole, counted_on, noise)
    model = workbench.model
    of_all_devices = whole.batch_size * recipe.device_count
    trainer = workbench.trainer(NoBatches(max(train_count // of_all_devices, 1)), fused=device == "cuda")
    optimizers, hooks = trainer.train_step.begin(), trainer.train_step.hooks
    period, least = repetition(recipe)
    small = max(min(least, whole.batch_size), LEAST_IMAGES)
    counts = []
    for images in (small, 2 * small):
        batch = Examples(*workbench.batch(images))
        with FlopCounterMode(display=False) as flops:
            with KeptActivations(model.parameters()) as kept:
                trainer.train_step(batch, optimizers, 0)
            for _ in range(period - 1):
                trainer.train_step(batch, optimizers, 0)
        counts.append((flops.get_total_flops() // period, kept.total_bytes))
    for _ in range(MOST_STEPS):
        if _state_bytes(optimizers):
            break
        trainer.train_step(Examples(*workbench.batch(small)), optimizers, 0)
    batch = Examples(*workbench.batch(small))
    with Operations() as operations:
        trainer.train_step(batch, optimizers, 0)
    loading = _loading(workbench, small) if device == "cuda" and recipe.loader == "resident" else None
    (flops_1, kept_1), (flops_2, kept_2) = counts
    per_example = (flops_2 - flops_1) // small
    per_step = flops_1 - per_example * small
    together = whole.batch_size // recipe.parts_of_a_step
    nets = [model, *(net for hook in hooks for net in hook.networks())]
    weights = [weight for net in nets for weight in net.state_dict().values()]
    trained = [parameter for net in nets for parameter in net.parameters() if parameter.requires_grad]
    return Footprint(
        workbench.precision.name,
        shape,
        together,
        trainer.total_steps,
        workbench.parameters,
        sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        _forward_flops(workbench, workbench.precision),
        per_example,
        per_step,
        trainer.total_steps * (per_step * recipe.device_count + per_example * of_all_devices),
        tensor_bytes(weights),
        tensor_bytes(trained),
        _state_bytes(optimizers),
        sum(hook.average_bytes() for hook in hooks),
        kept_1 + (kept_2 - kept_1) // small * (together - small),
        tensor_bytes(workbench.batch(1)) * whole.batch_size,
        operations.total,
        loading.total if loading else None,
        dict(operations.waits + loading.waits if loading else operations.waits),
        counted_on,
    )


def _loading(workbench: Workbench, size: int) -> Operations | None:
    """What a resident loader does for a batch in the middle of an epoch, one so small that a CPU renders it whole."""
    if 2 * size > len(workbench.data.train):
        return None
    recipe = workbench.recipe.model_copy(update={"batch_size": size})
    with build_loader(recipe, workbench.data, "train", workbench.placement, 0, None, None) as loader:
        batches = loader.epoch(0)
        next(batches)
        with Operations() as operations:
            next(batches)
    return operations


def repetition(recipe: Recipe) -> tuple[int, int]:
    """Two numbers: after how many steps their work repeats, and the fewest examples of a step from which the work of
    a larger one can be computed."""
    each = recipe.ingredients.values()
    return math.lcm(*(one.period for one in each)), max((one.least_examples for one in each), default=1)


def stand_in(recipe: Recipe) -> Recipe:
    """The recipe changed so that a CPU can count for a GPU, in the precision that the GPU would have."""
    precision = native_precision("cuda") if recipe.precision == "auto" else recipe.precision
    return recipe.model_copy(update={"precision": "fp32" if precision == "tf32" else precision})


def _forward_flops(workbench: Workbench, precision: Precision) -> int:
    with precision.autocast():
        return forward_flops(workbench.model, workbench.batch(1)[0])


def _state_bytes(optimizers: Optimizers) -> int:
    states = (state for optimizer in optimizers.all for state in optimizer.state.values())
    return sum(tensor_bytes(value for value in state.values() if isinstance(value, torch.Tensor)) for state in states)

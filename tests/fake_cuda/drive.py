"""Train recipes' on_cuda forms on the fake GPU: `python -m tests.fake_cuda.drive GUARD JOB…`, a JSON line for each job.

A job is the JSON of the arguments of `train`, or of `count`. A run has few batches, of the recipe's own size: where
nothing is computed, what takes time is how many operations there are.
"""

from __future__ import annotations

import json
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import tests.fake_cuda.preload  # noqa: F401

# isort: split
import torch
from torch import nn

from bench.host.clock import Clock
from bench.measures import assembly
from bench.measures.time_to_accuracy import TimeToAccuracy
from bench.pipelines.dataset import Dataset
from bench.profiling.demand import Parts, step_made
from bench.profiling.footprint import NoBatches
from bench.profiling.stand_in import stand_in_data
from bench.profiling.step import mark_parts
from bench.profiling.workbench import Workbench
from bench.runs.weights import WeightsFile
from bench.spec import recipes
from bench.spec.job import Job
from bench.spec.recipe import Recipe
from bench.training.examples import Examples
from bench.training.precision import Precision
from bench.training.trained_net import TrainedNet
from tests.fake_cuda.gpu import TIMED, Event, FakeGpu
from tests.fake_cuda.plants import PLANTS
from tests.few_batches import with_few_batches

# What a run may wait for while it is timed: the ends of its spans, the mean loss of an epoch, the answers of an
# evaluation, and which images are unsure.
ALLOWED_WAITS = (
    ("synchronize", "bench/host/clock.py", "span", TIMED),
    ("_local_scalar_dense", "bench/training/loop.py", "_epoch", ("train",)),
    ("_to_copy to the host", "bench/training/evaluation.py", "evaluate", ("eval", "final_eval")),
    ("nonzero", "bench/training/evaluation.py", "_second_look", ("eval", "final_eval")),
)


class Compiled(nn.Module):
    """In the place of what torch.compile gives, whose programs need values: it runs eagerly."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._orig_mod = module

    def forward(self, *args: Any) -> Any:
        return self._orig_mod(*args)


def teachers(
    _: Mapping[str, WeightsFile], recipe: Recipe, data: Dataset, precision: Precision
) -> dict[str, TrainedNet]:
    """In the place of a network that an earlier run trained: one of its recipe, whose weights nobody needs."""
    if recipe.distillation is None:
        return {}
    assert isinstance(recipe.distillation.teacher, str)
    net = assembly.build_model(recipes.load(recipe.distillation.teacher, "cuda"), data).requires_grad_(False).eval()
    precision.prepare(net, assembly.MEMORY_FORMATS[recipe.memory_format])
    return {"teacher": TrainedNet(net, data.mean, data.std)}


class Parent:
    """Whom the worker tells of its run; it tells the GPU the phase."""

    def __init__(self, gpu: FakeGpu) -> None:
        self._gpu = gpu
        self.phases: Counter[str] = Counter()
        self.precision = ""

    def __call__(self, kind: str, **values: Any) -> None:
        if kind == "phase":
            self._gpu.phase = values["name"]
            self.phases[values["name"]] += 1
        elif kind == "facts" and "resolved" in values:
            self.precision = values["resolved"]["precision"]


def train(recipe: str, settings: list[str], plant: str | None = None) -> dict[str, Any]:
    """A whole run; what it waited for, and `faults`, what a GPU would have against it, in words."""
    few = with_few_batches(recipe, settings)
    gpu = FakeGpu(few.memory_format == "channels_last")
    parent = Parent(gpu)
    with TemporaryDirectory() as folder, ExitStack() as stack:
        job = Job(few, 0, "cuda", None, Path(folder) / "cache", Path(folder) / "log", 0.0)
        stack.enter_context(gpu)
        stack.enter_context(patch("torch.compile", lambda module, **_: Compiled(module)))
        stack.enter_context(patch("bench.measures.trained_nets.load", teachers))
        if plant:
            stack.enter_context(PLANTS[plant]())
        measure = TimeToAccuracy(job, Clock(), parent)
        ended = None
        try:
            measure.run()
        except Exception as error:
            traceback.print_exc()
            ended = f"ended by {type(error).__name__}: {str(error).splitlines()[0]}"
    trainer = measure._trainer
    return {
        "recipe": recipe,
        "precision": parent.precision,
        "steps": trainer.step if trainer else 0,
        "epochs": parent.phases["train"],
        "waits_in_training": sum(
            event.kind == "wait" and event.phase == "train" and "bench/host/clock.py" not in event.where
            for event in gpu.events
        ),
        "weights_on": sorted({str(value.device) for value in trainer.model.state_dict().values()}) if trainer else [],
        "faults": faults(gpu.events, parent.phases) + ([ended] if ended else []),
    }


def count(recipe: str, settings: list[str], parts: list[str]) -> dict[str, dict[str, Any]]:
    """What a step of the recipe's first stage does there, by part: at the recipe's own batch size."""
    whole = recipes.load(recipe, "cuda", settings)
    with FakeGpu():
        workbench = Workbench(whole, "cuda", stand_in_data(whole, 64, 1))
        trainer, marked = workbench.trainer(NoBatches(100)), Parts()
        mark_parts(trainer, marked)
        optimizers = trainer.train_step.make_optimizers()
        size = whole.of_one_device(whole.batch_size) // trainer.curriculum.stage(0).steps
        trainer.train_step(Examples(*workbench.batch(size)), optimizers, 0)
        step = step_made(trainer, optimizers, workbench.batch(size), 0, marked)
    found = {part: [operation for operation in step.each if operation.part.startswith(part)] for part in parts}
    return {
        part: {
            "operations": [operation.name for operation in operations],
            "bytes": sum(operation.bytes for operation in operations),
            "flops": sum(operation.flops for operation in operations),
        }
        for part, operations in found.items()
    }


def faults(events: list[Event], phases: Counter[str]) -> list[str]:
    """What of the events should not be: wherever it is, or while the time is taken."""
    found: Counter[str] = Counter()
    waits: Counter[tuple[str, str]] = Counter()
    for event in events:
        said = f"{event.kind}: {event.what} at {event.where}, in {event.phase}"
        if event.captured:
            found[f"{said}, while a graph is captured"] += 1
        elif (
            event.kind in ("device", "layout")
            or (event.kind in ("copy", "pin") and event.phase in TIMED)
            or _is_pinned_late(event)
        ):
            found[said] += 1
        elif event.kind == "wait" and event.phase in TIMED:
            if _is_allowed(event):
                waits[event.what, event.phase] += 1
            else:
                found[said] += 1
    for (what, phase), count in waits.items():
        most = phases[phase] * (2 if what == "synchronize" else 1)
        if count > most:
            found[f"wait: {what} in {phase} more often than its {most} ends, {count} times"] += 1
    return [f"{text} ({count} times)" for text, count in found.items()]


def _is_pinned_late(event: Event) -> bool:
    """A GPU has nothing to do while the host copies an epoch's draws into pinned memory."""
    return event.kind == "pinned" and event.phase == "train" and event.where.endswith(" sent")


def _is_allowed(event: Event) -> bool:
    file, _, rest = event.where.partition(":")
    function = rest.partition(" ")[2]
    return any((event.what, file, function) == allowed[:3] and event.phase in allowed[3] for allowed in ALLOWED_WAITS)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", "Accessing the data pointer of FakeTensor")
    torch.set_num_threads(1)
    for argument in sys.argv[2:]:
        job = json.loads(argument)
        print(json.dumps((count if "parts" in job else train)(**job)), flush=True)

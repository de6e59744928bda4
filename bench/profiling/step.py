"""Splits a training step at the transitions between its parts, without duplicating its code.

The trainer's own `train_step` runs; marks are set when it calls the network, the loss, the backward pass and the
optimisers. On a CPU a mark is a clock reading, on a GPU an event in its queue, for which nothing waits.
"""

from __future__ import annotations

import copy
import itertools
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from bench.measures.throughput import Steps
from bench.pipelines.loader import Loader
from bench.training.device import Device
from bench.training.loop import endless
from bench.training.trainer import Trainer

T = TypeVar("T")

LOADER, FORWARD, LOSS, BACKWARD, OPTIMIZER, OTHER = "loader", "forward", "loss", "backward", "optimiser", "other"
PARTS = (LOADER, FORWARD, LOSS, BACKWARD, OPTIMIZER, OTHER)


class Beginnings(Protocol):
    """Is notified when a part begins."""

    def begin(self, part: str) -> None: ...


class Marks:
    """Points on the device's own clock; each begins a part. `seconds` is read after all work is done."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._moments: list[tuple[str, Any]] = []

    def begin(self, part: str) -> None:
        self._moments.append((part, self._device.event() or time.perf_counter()))

    def seconds(self) -> dict[str, float]:
        """Seconds from each mark to the next, summed by part; the last mark only ends a part. Clears the marks."""
        self._device.synchronize()
        spent: dict[str, float] = defaultdict(float)
        for (part, start), (_, end) in itertools.pairwise(self._moments):
            spent[part] += start.elapsed_time(end) / 1000 if self._device.is_cuda else end - start
        self._moments = []
        return dict(spent)


class MarkedStep:
    """Whole training steps of `trainer`, including drawing the batch from `loader`, at the first learning rate.

    The loader's part is the time the step waits for it, without work done in parallel on other cores.
    """

    def __init__(self, trainer: Trainer, loader: Loader) -> None:
        self._device, self._marks = trainer.train_step.precision.device, Marks(trainer.train_step.precision.device)
        mark_parts(trainer, self._marks)
        self._steps, self._batches = Steps(trainer), endless(loader)

    def run(self, steps: int = 1) -> dict[str, float]:
        """Seconds of one step by part, as means over `steps` consecutive steps."""
        self._device.synchronize()
        for _ in range(steps):
            self._marks.begin(LOADER)
            batch = next(self._batches)
            self._marks.begin(OTHER)
            self._steps.run([batch])
        self._marks.begin(OTHER)
        return {part: seconds / steps for part, seconds in self._marks.seconds().items()}


def mark_parts(trainer: Trainer, marks: Beginnings) -> None:
    """Set marks from now on when a part of a step begins, except the loader's."""

    def marked(part: str, function: Callable[..., Any]) -> Any:
        return Marked(part, function, marks)

    def with_methods(owner: T, **part_by_method: str) -> T:
        for method, part in part_by_method.items():
            setattr(owner, method, marked(part, getattr(owner, method)))
        return owner

    step = trainer.train_step
    step.forward, step.loss = marked(FORWARD, step.forward), marked(LOSS, step.loss)
    own = copy.copy(step.precision)  # other trainers keep their unmarked functions
    step.precision = with_methods(own, backward=BACKWARD, step=OPTIMIZER)
    make_optimizers = step.make_optimizers
    step.make_optimizers = lambda: with_methods(make_optimizers(), set_progress=OPTIMIZER, zero_grad=OPTIMIZER)


class Marked:
    """A callable with a mark before and after each call; its attributes are those of the wrapped object."""

    def __init__(self, part: str, function: Callable[..., Any], marks: Beginnings) -> None:
        self._part, self._function, self._marks = part, function, marks

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._marks.begin(self._part)
        result = self._function(*args, **kwargs)
        self._marks.begin(OTHER)
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)

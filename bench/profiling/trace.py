"""A Chrome trace of a few training steps, with a named region for each stage; opens in Perfetto or chrome://tracing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from torch import nn
from torch.profiler import record_function

from bench.errors import UsageError
from bench.measures.throughput import Steps
from bench.pipelines.loader import Loader
from bench.profiling.quiet_profiler import profiler_of
from bench.profiling.stages import stages_of
from bench.text.undecodable import readable
from bench.training.loop import endless
from bench.training.trainer import Trainer

STEPS = 3


def check_trace_file(path: Path) -> None:
    """Raises `UsageError` if a trace cannot be written, before anything is measured."""
    if not path.parent.is_dir():
        raise UsageError(f"--trace {path}: there is no folder {path.parent}; make it first")
    if readable(str(path)) != str(path):
        raise UsageError(f"--trace {path}: torch writes to no file whose name is not UTF-8; choose another name")
    if path.is_dir() or path.suffix not in (".json", ".gz"):
        raise UsageError(f"--trace {path}: name a file that ends in .json or .json.gz")


def write_trace(trainer: Trainer, loader: Loader, path: Path, depth: int | None = None) -> None:
    """Write STEPS training steps, after one unrecorded step, as JSON in Chrome's trace format.

    The profiler slows small operations down: use the trace for proportions, and the table for times.
    """
    device = trainer.train_step.precision.device
    steps, batches = Steps(trainer), endless(loader)
    steps.run([next(batches)])
    with ExitStack() as regions, profiler_of(device) as profiler:
        for stage in stages_of(trainer.model, depth):
            regions.enter_context(_region(stage.module, stage.name))
        for number in range(STEPS):
            with record_function("loader"):
                batch = next(batches)
            with record_function(f"step {number}"):
                steps.run([batch])
        device.synchronize()
    profiler.export_chrome_trace(str(path))


@contextmanager
def _region(module: nn.Module, name: str) -> Iterator[None]:
    """While entered, each forward pass of the module is a named region in the trace."""
    open_regions: list[Any] = []

    def before(*_: Any) -> None:
        open_regions.append(record_function(name))
        open_regions[-1].__enter__()

    def after(*_: Any) -> None:
        open_regions.pop().__exit__(None, None, None)

    handles = [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()

"""What tests of measures share: small jobs on embedded digits, and a run of one in this process."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.host.clock import Clock
from bench.measures.lookup import measure_class
from bench.spec import recipes
from bench.spec.job import Job
from bench.statistics.sampling import Bounds

# Too little to trust, and enough to see that it works.
HASTY = Bounds(relative_error=0.5, least_samples=2, least_s=0.0, timeout_s=0.3)
SMALL = ("model.width=4", "threads=1")


@pytest.fixture
def make_job(tmp_path: Path) -> Callable[..., Job]:
    """A job of this measure with these settings, on `digits` with a narrow network or on another recipe as it is."""

    def make(measure: str, *settings: str, recipe: str = "digits", sampling: Bounds = HASTY) -> Job:
        small = SMALL if recipe == "digits" else ()
        return Job(
            recipes.load(recipe, "cpu", [*small, *settings]),
            seed=0,
            device="cpu",
            data_dir=None,
            cache=tmp_path / "cache",
            log=tmp_path / "run.log",
            origin_s=time.monotonic(),
            measure=measure,
            sampling=sampling,
        )

    return make


@pytest.fixture
def run_here() -> Callable[[Job], list[dict[str, Any]]]:
    """Runs a job in this process; what it told, in order. Raises what the run raises."""

    def run(job: Job) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = []
        measure = measure_class(job.measure)(job, Clock(), lambda kind, **values: told.append({"kind": kind, **values}))
        threads = torch.get_num_threads()
        gc.freeze()  # as in a worker, which would otherwise look through all that pytest holds, too
        try:
            measure.run()
        finally:
            gc.unfreeze()
            torch.set_num_threads(threads)
        return told

    return run

"""What a cell of a sweep costs before it measures anything: its process, from a fork server that is warm."""

from __future__ import annotations

import time
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from bench.execution.measured import Measured
from bench.execution.runner import execute, warm_up_fork_server
from bench.spec import recipes
from bench.spec.job import Job

SETTINGS = ("epochs=0.01", "target_accuracy=null", "threads=1")


def test_start_of_a_cell(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """All of a run of one step that is no span of its own: start, import, telling and end."""
    recipe = recipes.load("digits", "cpu", SETTINGS)
    warm_up_fork_server()
    runs: list[Measured] = []

    def run_one() -> None:
        job = Job(recipe, 0, "cpu", None, tmp_path / "cache", tmp_path / "run.log", time.monotonic())
        runs.append(execute(job, lambda _: None, "forkserver"))

    benchmark.pedantic(run_one, rounds=5, warmup_rounds=1)
    assert {run.status for run in runs} == {"ok"}
    imports_s = [run.spans[0]["end_s"] for run in runs]
    benchmark.extra_info["import_s"] = imports_s
    print(f"\nto the end of the import span: {', '.join(f'{seconds:.3f} s' for seconds in imports_s)}")

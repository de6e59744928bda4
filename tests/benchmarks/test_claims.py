"""What the verdicts on all claims cost, of ten thousand recorded runs in a file."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from msgspec.structs import replace
from pytest_benchmark.fixture import BenchmarkFixture

from bench.claims import catalog
from bench.claims.answers import judge
from bench.claims.verdict import ClaimVerdict
from bench.runs.run import Run
from bench.runs.store import read_records
from tests.benchmarks.test_store import realistic_run

RUNS, EPOCHS = 10_000, 10
METRICS = (
    "accuracy", "loss", "train_s", "time_to_target_s", "samples_per_s", "forward_flops_per_example", "step_median_s",
    "activation_bytes", "activation_bytes_per_example", "parameters", "images_per_s", "total_s",
)  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RUNS runs, as many of each cell of each claim, of one machine and one code."""
    rng, made = random.Random(0), tmp_path_factory.mktemp("claims") / "runs.jsonl"
    names = sorted({min(cell.ids) for claim in catalog.chosen(()) if claim.spec.matrix for cell in claim.cells})
    first = realistic_run(0, EPOCHS, rng)
    with made.open("wb") as file:
        for number in range(RUNS):
            seed, position = divmod(number, len(names))
            metrics = {name: rng.uniform(1, 2) for name in METRICS}
            run_id = f"20261120T100000.{number:06d}Z-00000000"
            file.write(replace(first, run_id=run_id, cell=names[position], seed=seed, metrics=metrics).to_json_line())
    return made


def test_verdicts(benchmark: BenchmarkFixture, path: Path) -> None:
    def verdicts() -> list[ClaimVerdict]:
        runs = read_records([path], Run.from_json_line)
        return [answer.verdict for answer in judge(catalog.chosen(()), runs)]

    assert len(benchmark.pedantic(verdicts, rounds=3)) == 42

"""What a report of ten thousand runs costs: ranking them, making the pages, and opening the longest in Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from pytest_benchmark.fixture import BenchmarkFixture

from bench.report.html.pages import site
from bench.runs.run import Run
from bench.scores.leaderboard import boards
from bench.scores.published import load_records
from tests.bench.report.html.browser import chromium, executable
from tests.benchmarks.test_store import realistic_run
from tests.command import bench

CELLS, REPEATS, EPOCHS = 500, 20, 10


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    """CELLS cells of REPEATS runs, each of EPOCHS epochs."""
    import random

    rng = random.Random(0)
    made = []
    for cell in range(CELLS):
        for seed in range(REPEATS):
            run = realistic_run(cell, EPOCHS, rng)
            made.append(replace(run, run_id=f"20261120T100000.{len(made):06d}Z-{cell:08x}", seed=seed))
    return made


@pytest.fixture(scope="module")
def folder(runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    for name, content in site(runs, load_records()).items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def test_ranking(benchmark: BenchmarkFixture, runs: list[Run]) -> None:
    assert benchmark.pedantic(boards, (runs, load_records()), rounds=3)


def test_pages(benchmark: BenchmarkFixture, runs: list[Run]) -> None:
    assert len(benchmark.pedantic(site, (runs, load_records()), rounds=3)) > CELLS


def test_the_whole_command(benchmark: BenchmarkFixture, runs: list[Run], tmp_path: Path) -> None:
    """`bench report` from its start to its exit, with the store read and every page written."""
    lines = b"".join(run.to_json_line() for run in runs)
    (tmp_path / "results" / "runs").mkdir(parents=True)
    (tmp_path / "results" / "runs" / "runs.jsonl").write_bytes(lines)
    done = benchmark.pedantic(bench, ("report",), {"cwd": tmp_path}, rounds=3)
    assert f"{len(runs)} runs" in done.stdout, done.stderr


@pytest.mark.parametrize("name", ["index.html", "cells.html", "boards/dawnbench-cifar10-train-94.html"])
def test_opening(benchmark: BenchmarkFixture, folder: Path, name: str) -> None:
    program = executable()
    if program is None:
        pytest.skip("no Chromium: install chromium, or name one in $BENCH_CHROMIUM")
    with chromium(program) as page:

        def opened() -> int:
            page.open(folder / name)
            return int(page.run("document.body.getBoundingClientRect().height"))

        assert benchmark.pedantic(opened, rounds=3) > 0

from pathlib import Path

import pytest

from bench.documents.document import Document
from bench.report.terminal.predictors import predictors
from bench.spec.matrix import Matrix, expand, schedule
from bench.spec.sweep_plan import plan


def told(make_run, metrics, measure="throughput"):
    """The lines for cells with these metrics, one run each."""
    widths = list(range(1, len(metrics) + 1))
    cells = expand(Matrix(Document(Path("mine.yaml"), {"recipe": "digits", "axes": {"model.width": widths}})), "cpu")
    runs = [
        make_run(cell=cell.id, seed=0, machine={"id": "here"}, metrics=each)
        for cell, each in zip(cells, metrics, strict=True)
    ]
    made = plan(schedule(cells, range(1), "interleaved"), runs, machine_ids={"here"}, sources_sha256="")
    return predictors(made, measure)


def costs(speeds, flops):
    return [
        {"samples_per_s": speed, "forward_flops_per_example": each} for speed, each in zip(speeds, flops, strict=True)
    ]


def test_more_flops_and_less_speed_rank_alike(make_run):
    lines = told(make_run, costs([100.0, 90.0, 80.0, 70.0, 60.0], [1, 2, 3, 4, 5]))
    assert lines == ["FLOPs and time per example: rank correlation 1.00, n = 5 cells"]


def test_flops_that_mislead_are_seen(make_run):
    (line,) = told(make_run, costs([100.0, 60.0, 90.0, 70.0, 80.0, 75.0], [1, 2, 3, 4, 5, 6]))
    # By hand: ranks of time 1 6 2 5 3 4 beside 1 2 3 4 5 6, so 1 - 6 * (0 + 16 + 1 + 1 + 4 + 4) / (6 * 35).
    assert line.startswith(f"FLOPs and time per example: rank correlation {1 - 6 * 26 / 210:.2f} [")
    assert line.endswith("], n = 6 cells")


def test_latency_grows_with_cost_too(make_run):
    metrics = [{"latency_p50_ms": float(size), "parameters": size} for size in (1, 2, 3, 4, 5)]
    assert told(make_run, metrics, "inference") == ["parameters and latency: rank correlation 1.00, n = 5 cells"]


@pytest.mark.parametrize("flops", [[1, 2, 3, 4], [1, 1, 2, 2, 2], [7] * 6])
def test_few_cells_or_few_values_rank_nothing(make_run, flops):
    assert told(make_run, costs([float(10 - i) for i in range(len(flops))], flops)) == []


def test_loading_has_no_network_to_rank(make_run):
    assert told(make_run, costs([5.0, 4.0, 3.0, 2.0, 1.0], [1, 2, 3, 4, 5]), "loading") == []

import json
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from bench.errors import UsageError
from bench.pipelines.augment import Augment
from bench.pipelines.datasets import load_dataset
from bench.pipelines.loaders import make_loader
from bench.profiling.profile import Profile, middle_mean, prepare, profile
from bench.profiling.stage_figures import StageFigures
from bench.profiling.step import PARTS
from bench.profiling.trace import STEPS, check_trace_file, write_trace
from bench.profiling.workbench import Workbench
from bench.report.terminal.profile import MOST_LOSSES, lost_lines
from bench.spec import recipes
from bench.statistics.sampling import Bounds
from bench.training.device import Device
from bench.training.flops import forward_flops
from bench.training.precision import Precision

HASTY = Bounds(relative_error=0.5, least_samples=2, least_s=0.0, timeout_s=1.0)
SMALL = ["model.width=4", "threads=1", "batch_size=32", "precision=fp32"]


@pytest.fixture(scope="module")
def bench_and_loaders():
    threads = torch.get_num_threads()
    data = load_dataset("digits")
    workbench = Workbench(recipes.load("digits", "cpu", SMALL), "cpu", data)
    loaders = [
        make_loader("resident", data, split, 32, Augment(), workbench.placement, seed=0) for split in ("train", "test")
    ]
    yield workbench, *loaders
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def found(bench_and_loaders) -> Profile:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.profiling.reference.MATRIX_SIDE", {"cpu": 128})
        patch.setattr("bench.profiling.reference.COPY_BYTES", {"cpu": 2**20})
        patch.setattr("bench.profiling.roofline.MOST_FLOPS", {"cpu": 2**20})
        return profile(*bench_and_loaders, bounds=HASTY, limit_bounds=HASTY)


def test_the_columns_add_up(found, bench_and_loaders):
    workbench = bench_and_loaders[0]
    image = workbench.batch(1)[0]
    assert found.batch_size == 32
    assert sum(stage.forward_flops for stage in found.stages) == 32 * forward_flops(workbench.model, image)
    assert sum(stage.parameters for stage in found.stages) == workbench.parameters
    between = found.between
    assert (between.parameters, between.forward_flops, between.backward_flops) == (0, 0, 0)
    rows = [*found.stages, between]
    assert sum(row.total_s for row in rows) == pytest.approx(found.net.total_s)
    assert sum(row.kept_bytes for row in rows) == found.net.kept_bytes


def test_the_parts_of_a_step_are_all_there(found):
    assert set(found.step_s) == set(PARTS)
    assert all(found.step_s[part] > 0 for part in PARTS)
    assert found.total_s == pytest.approx(sum(found.step_s.values()))
    assert found.net.forward_s == found.step_s["forward"]
    assert found.evaluation_s is not None
    assert found.peak.per_s > 0
    assert found.step.n == min(stage.n for stage in found.stages)


def test_marks_are_gone_from_the_precision_that_others_use(found, bench_and_loaders):
    assert "backward" not in vars(bench_and_loaders[0].precision)


class Slow(nn.Module):
    """Waits in both directions: a layer that is slow whatever the machine."""

    def forward(self, x):
        time.sleep(0.02)
        return x * 1.0


def test_a_slow_layer_comes_first():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), Slow(), nn.Linear(32, 10))
    data = (torch.randn(8, 1, 8, 8), torch.zeros(8, dtype=torch.int64))
    _, timers, _ = prepare(model, data, Precision("fp32", Device("cpu")))
    seconds = {name: min(timer() for _ in range(3)) for name, timer in timers.items()}
    slow_s = seconds.pop("2")
    assert slow_s > 5 * max(seconds.values())


def test_ranked_is_by_forward_and_backward_together():
    stages = [StageFigures(name, "", (), 0, 0, 0, 0, f, b, 1) for name, f, b in (("a", 3, 1), ("b", 1, 4), ("c", 2, 0))]
    net = StageFigures("net", "", (), 0, 0, 0, 0, 6, 5, 1)
    whole = Profile(1, "fp32", stages, net, {}, None, None, None)  # type: ignore[arg-type]
    assert [stage.name for stage in whole.ranked] == ["b", "a", "c"]
    assert (whole.between.forward_s, whole.between.backward_s) == (0, 0)


def test_the_middle_half_leaves_the_extremes_out():
    samples = [{"a": 1.0, "b": 1.0}, {"a": 100.0, "b": 0.0}, {"a": 2.0, "b": 2.0}, {"a": 0.0, "b": 0.1}]
    assert middle_mean(samples) == {"a": 1.5, "b": 1.5}
    assert middle_mean(samples[:1]) == samples[0]


def test_a_stage_without_products_has_no_rate():
    assert StageFigures("act", "", (), 0, 0, 0, 0, 1.0, 1.0, 1).flops_per_s is None
    assert StageFigures("conv", "", (), 0, 4, 8, 0, 1.0, 2.0, 1).flops_per_s == 4.0


def test_a_trace_is_json_with_steps_and_stages(bench_and_loaders, tmp_path):
    workbench, train, _ = bench_and_loaders
    path = tmp_path / "trace.json"
    write_trace(workbench.trainer(train), train, path, depth=1)
    names = [event.get("name") for event in json.loads(path.read_text())["traceEvents"]]
    assert {f"step {number}" for number in range(STEPS)} <= set(names)
    assert names.count("body") == names.count("head") == names.count("loader") == STEPS
    assert "aten::conv2d" in names


@pytest.mark.parametrize(
    ("name", "message"), [("no/such/t.json", "there is no folder no/such"), ("t.txt", "ends in .json")]
)
def test_a_trace_that_cannot_be_written_is_refused_at_once(name, message):
    with pytest.raises(UsageError, match=message):
        check_trace_file(Path(name))


def test_every_stage_and_part_has_a_limit_and_the_worst_losses_come_first(found):
    assert all(stage.least_forward_s > 0 for stage in found.stages)
    # The first layer needs no gradient of its images, and has that of its weights.
    assert all(stage.least_backward_s > 0 for stage in found.stages if stage.parameters)
    assert found.net.least_s > 0
    lost = [loss.lost_s for loss in found.losses]
    assert lost == sorted(lost, reverse=True)
    assert all(loss.lost_s > 0 and 0 <= loss.reached < 1 for loss in found.losses)
    assert {loss.name for loss in found.losses} <= {"loader", "loss", "optimiser", *(one.name for one in found.stages)}
    kinds = {one.kind: one for one in found.kinds}
    products = kinds["conv or matrix product"]
    assert products.number > 0
    assert products.spent_s > 0
    assert products.least_s > 0
    assert kinds["norm"].number > 0


def test_the_lost_seconds_are_told_with_the_rates_they_are_measured_against(found):
    told = lost_lines(found)
    assert "beyond what this machine can do" in told[0]
    assert len(told) == 2 + min(len(found.losses), MOST_LOSSES)
    worst = found.losses[0]
    assert told[1].startswith(f"  {worst.name}, {worst.part}" if worst.part else f"  {worst.name}:")
    assert f"of the {len(found.limits.products)} sizes that occur" in told[-1]
    assert "a memory copy moves" in told[-1]

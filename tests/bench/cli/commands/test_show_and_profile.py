"""Both commands as a user calls them; what they print is tested in tests/bench/report."""

import json
from functools import partial

import pytest
import torch

from bench.profiling.profile import profile
from bench.spec import recipes
from bench.statistics.sampling import Bounds

TINY = ["--device", "cpu", "--set", "model.width=4", "--set", "threads=1"]


@pytest.fixture
def call(bench, tmp_path, monkeypatch):
    """What a command that ends well prints."""
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("bench.profiling.reference.MATRIX_SIDE", {"cpu": 128})
    bounds = Bounds(relative_error=0.5, least_samples=2, least_s=0.0, timeout_s=0.5)
    quick = partial(profile, bounds=bounds, limit_bounds=bounds)
    monkeypatch.setattr("bench.cli.commands.profile.profiled", quick)
    threads = torch.get_num_threads()

    def invoke(*arguments: str) -> str:
        answer = bench(*arguments)
        assert answer.code == 0, answer.err
        return answer.out

    yield invoke
    torch.set_num_threads(threads)


def test_show_says_what_a_recipe_is(call):
    text = call("show", "digits", *TINY)
    for word in ("Source: fast.ai", "model", "parameters", "FLOP/example", "whole run", "memory of 64", "no"):
        assert word in text
    assert "Counted, not a measured peak" in text.replace("\n", " ").replace("  ", " ")


def test_show_resolves_what_is_set(call):
    text = call("show", "digits", *TINY, "--set", "image_sizes=[{pixels: 6, until: 0.5}]", "--set", "batch_size=32")
    assert "[pixels 6, until 0.5]" in text
    assert "steps of 32 images" in text
    assert "an upper bound" in text


def test_show_resolved_prints_a_recipe_that_is_the_same_cell(call, tmp_path):
    (tmp_path / "mine.yaml").write_text("extends: cifar96\nepochs: 3\n")
    text = call("show", "mine.yaml", "--device", "cuda", "--resolved", "--set", "seeds=2")
    assert text.startswith("# mine.yaml on cuda, with every value that is not null\nsummary: CIFAR-10 to 96 %")
    (tmp_path / "whole.yaml").write_text(text)
    whole, changed = (recipes.load(name, "cuda", ["seeds=2"]) for name in ("whole.yaml", "mine.yaml"))
    assert (whole, whole.epochs) == (changed, 3)


def test_show_needs_no_data(call):
    text = call("show", "darknet", *TINY)
    assert "52 min 38 s" in text
    assert "K80" in text


def test_profile_prints_a_table_and_writes_a_trace(call, tmp_path):
    text = call("profile", "digits", *TINY, "--batch-size", "16", "--depth", "1", "--trace", "t.json")
    assert "batch 16" in text
    for row in ("body", "head", "between stages", "net", "loader", "optimiser", "step", "evaluation, on top"):
        assert f"\n {row} " in text
    assert "3 steps are traced in t.json" in text
    assert json.loads((tmp_path / "t.json").read_text())["traceEvents"]


def test_data_that_is_not_here_is_replaced_and_that_is_said(call):
    text = call("profile", "digits", *TINY, "--set", "data=mnist", "--set", "target_accuracy=null", "--batch-size=8")
    assert "mnist is not on this machine; this is profiled on noise of its shapes." in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "digist"], "did you mean 'digits'"),
        (["profile", "digits", "--set", "model.widht=4"], "widht"),
        (["profile", "digits", "--trace", "nowhere/t.json"], "there is no folder nowhere"),
        (["profile", "digits", "--batch-size", "100000"], "batch_size: 100,000 in all are more than the 1,437"),
    ],
)
def test_mistakes_are_refused(bench, call, arguments, message):
    answer = bench(*arguments, "--device", "cpu")
    assert answer.code == 2
    assert message in answer.err


def test_too_little_memory_names_the_remedy(bench, call, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("bench.cli.commands.profile.profiled", full)
    answer = bench("profile", "digits", *TINY)
    assert answer.code == 3
    assert "smaller --batch-size" in answer.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_missing_hardware(bench):
    answer = bench("profile", "digits", "--device", "cuda")
    assert answer.code == 3
    assert "use --device cpu" in answer.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_what_a_gpu_would_be_asked_for_is_counted_without_one(call):
    small = ("--set", "model.widths=[4, 8, 8]")
    text = " ".join(call("show", "speedrun94", *small, "--device", "cuda").split())
    assert "precision pure_fp16" in text
    assert "in pure_fp16 on the CPU, in place of a GPU that is not here" in text
    assert "none makes the host wait for the GPU" in text
    with_scaler = " ".join(call("show", "speedrun94", *small, "--device", "cuda", "--set", "precision=auto").split())
    assert "precision fp16 (auto)" in with_scaler
    assert "the host waits for the GPU (_local_scalar_dense " in with_scaler


def test_a_card_that_is_not_here_is_estimated_with_all_that_is_assumed(call):
    text = " ".join(call("show", "digits", "--card", "H100", "--set", "model.width=4").split())
    assert "Estimate for NVIDIA H100 SXM, 80 GB, not a measurement: training" in text
    assert "60% of the card's dense matrix rate" in text
    assert "as eager torch launches them" in text
    assert "step at 8 px" in text


def test_what_cannot_be_scaled_up_is_said_and_the_rest_is_shown(call):
    text = " ".join(
        call("show", "digits", "--card", "h100", "--set", "model.width=4", "--set", "ghost_batch=8").split()
    )
    assert "parameters" in text
    assert "not counted, and no time estimated: step at 8 px: its operations depend on the batch's size" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--card", "rtx4080"], "did you mean 'rtx4090'"),
        (["--card", "h100", "--device", "cpu"], "leave out --device cpu"),
    ],
)
def test_a_card_that_cannot_be_estimated_is_refused(bench, arguments, message):
    answer = bench("show", "digits", *arguments)
    assert answer.code == 2
    assert message in answer.err

"""Seeds that share a process: each is what it would be in a process of its own, and its record says what it shared."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
import torch

from bench.execution.measuring import measure
from bench.host.clock import Clock
from bench.measures import assembly, time_to_accuracy
from bench.runs import weights
from bench.spec.job import Job
from bench.training.in_place import become

SEEDS = (0, 1, 2)
DECIDED = (
    "accuracy",
    "loss",
    "epochs",
    "steps",
    "examples",
    "parameters",
    "forward_flops_per_example",
    "train_flops",
)
BRIEF = ("epochs=2", "target_accuracy=null", "model.blocks=[1]")
SMALL_DATA = "data={name: random, shape: [1, 8, 8], classes: 4, train_count: 256, test_count: 64}"
EVERY_STATE = (
    "warm_up_steps=2",
    "ema={decay: 0.9, every: 2, start: 0.3}",
    "lookahead={every: 3, decay: 0.9}",
    "cutmix={probability: 0.7}",
    "ghost_batch=16",
    "freeze=[{part: head, after: 0.5}]",
    "batch_sizes={stages: [{examples: 16, until: 0.5}], scale_lr: true}",
    "image_sizes=[{pixels: 6, until: 0.4}]",
    "accumulate=2",
    "augment={flip: alternating, shift_pixels: 1, pad: zero, brightness: 0.1}",
    "evaluation={tta: 2, epoch_tta: 0, tta_below: 0.9}",
)
HARD_EXAMPLES = ("drop_easy={kept: 0.5, start: 0.3}", "optimizer.groups={biases: {epochs: 1, lr: 0.1}}")
WHITENED = (
    "data={name: random, shape: [3, 8, 8], classes: 4, train_count: 256, test_count: 64}",
    "model={name: speedrun, widths: [16, 16], whiten_images: 64, unit_head: true}",
    "threads=1",
    "optimizer={name: muon, lr: 0.1, momentum: 0.6, groups: {biases: {name: sgd, lr: 0.05}, "
    "whiten_bias: {name: sgd, lr: 0.05, epochs: 1}}}",
)


def run(jobs: Iterable[Job]) -> list[dict[str, Any]]:
    """What each of these jobs told at its end, its other facts and rows included, when one process does them all."""
    told: list[dict[str, Any]] = []
    records: list[dict[str, Any]] = []
    left = iter(jobs)

    def tell(kind: str, **values: Any) -> None:
        told.append({"kind": kind, **values})
        if kind == "end":
            facts = [{k: v for k, v in one.items() if k != "kind"} for one in told if one["kind"] == "facts"]
            rows = [one for one in told if one["kind"] == "epoch"]
            records.append(dict(item for fact in facts for item in fact.items()) | values | {"rows": rows})
            told.clear()

    first, threads = next(left), torch.get_num_threads()
    try:
        measure(first, Clock(), tell, (lambda: next(left, None)) if first.shared_process else None)  # type: ignore[arg-type]
    finally:
        torch.set_num_threads(threads)
    return records


@pytest.fixture(autouse=True)
def _output_stays(monkeypatch):
    """A worker's own process sends its output to the log of each job."""
    monkeypatch.setattr("bench.execution.measuring.redirect_output", lambda log: None)


@pytest.fixture
def jobs(make_job, tmp_path):
    """The jobs of some seeds of `digits` with these settings, of one process or of one each."""

    def make(*settings: str, shared: bool, seeds=SEEDS, keep: bool = False, **more: Any) -> list[Job]:
        job = make_job("time_to_accuracy", *BRIEF, *settings)
        where = tmp_path / ("shared" if shared else "separate")
        where.mkdir(exist_ok=True)
        return [
            replace(job, seed=seed, shared_process=shared, keep_weights=where / f"{seed}.pt" if keep else None, **more)
            for seed in seeds
        ]

    return make


@pytest.fixture
def both(jobs):
    """The records of some seeds in one process, and of all but the first, before which nothing ran, in one each."""

    def make(*settings: str, seeds=SEEDS, **options: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        shared = run(jobs(*settings, shared=True, seeds=seeds, **options))
        separate = [run([job])[0] for job in jobs(*settings, shared=False, seeds=seeds[1:], **options)]
        return shared, separate

    return make


def results(record: dict[str, Any]) -> Any:
    """All that a seed decides, and no seconds."""
    metrics = {key: record["metrics"].get(key) for key in DECIDED}
    rows = [{key: value for key, value in row.items() if key != "train_s"} for row in record["rows"]]
    return record["status"], metrics, rows


def assert_equal(shared: list[dict[str, Any]], separate: list[dict[str, Any]]) -> None:
    assert [results(record) for record in shared[1:]] == [results(record) for record in separate]
    losses = {record["metrics"]["loss"] for record in shared}
    assert len(losses) == len(shared), "seeds that are all alike show nothing"


@pytest.mark.parametrize(
    "settings",
    [
        (),
        (SMALL_DATA, *EVERY_STATE),
        (SMALL_DATA, *HARD_EXAMPLES),
        (SMALL_DATA, "precision=fp16", "optimizer={name: adamw, lr: 0.01}", "loss={reduction: sum}"),
        WHITENED,
        (*WHITENED, "precision=pure_bf16", "winograd=auto", "fused_activations=auto"),
        (*WHITENED, "warm_up_steps=2", "proxy={kept: 0.5, every: 2, model: {widths: [4, 4]}}"),
        (SMALL_DATA, "loader=torch", "workers=0", "augment={flip: random, shift_pixels: 1}"),
    ],
    ids=["digits", "every state", "hard examples", "loss scale", "whitened", "half precision", "proxy", "torch loader"],
)
def test_a_seed_is_the_same_digit_for_digit_in_a_shared_process(both, settings):
    assert_equal(*both(*settings))


def test_a_teacher_answers_every_seed_alike(both, jobs, tmp_path):
    run(jobs(SMALL_DATA, shared=False, seeds=(7,), keep=True))
    teacher = weights.find(str(tmp_path / "separate" / "7.pt"), tmp_path)
    taught = f"distillation={{teacher: {teacher.path}, mirror: true}}"
    assert_equal(*both(SMALL_DATA, taught, seeds=(0, 1), nets={"teacher": teacher}))


@pytest.mark.usefixtures("cxx")
def test_what_is_compiled_once_trains_every_seed(both, monkeypatch):
    networks = []
    compile_it = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda model, **options: networks.append(model) or compile_it(model, backend="eager")
    )
    settings = ("compile=true", "warm_up_steps=1", "optimizer.groups={biases: {epochs: 1, lr: 0.1}}")
    shared, separate = both(SMALL_DATA, *settings, seeds=(0, 1, 2))
    assert_equal(shared, separate)
    assert [record["resolved"]["compiled_cache"] for record in shared] == ["fresh"] * 3
    # The harness compiles nothing once, to load the compiler.
    assert sum(not isinstance(network, torch.nn.Identity) for network in networks) == 1 + 2


def test_a_seed_that_diverges_leaves_no_trace_in_the_next(both, monkeypatch):
    build = assembly.build_model

    def poisoned(*arguments):
        model = build(*arguments)
        if torch.initial_seed() == 1:
            next(model.parameters()).data.fill_(math.nan)
        return model

    monkeypatch.setattr(assembly, "build_model", poisoned)
    shared, separate = both(SMALL_DATA, *EVERY_STATE)
    assert [record["status"] for record in shared] == ["ok", "diverged", "ok"]
    assert [results(record) for record in shared[1:] if record["status"] == "ok"] == [
        results(record) for record in separate if record["status"] == "ok"
    ]


def test_nothing_goes_on_after_an_error(jobs, monkeypatch):
    train = time_to_accuracy.TimeToAccuracy._train

    def failing(self, *arguments):
        if self.job.seed == 1:
            raise MemoryError
        return train(self, *arguments)

    monkeypatch.setattr(time_to_accuracy.TimeToAccuracy, "_train", failing)
    records = run(jobs(SMALL_DATA, shared=True))
    assert [(record["status"], record.get("waits", False)) for record in records] == [("ok", True), ("oom", False)]


def test_kept_weights_are_those_of_each_seed(both):
    shared, separate = both(SMALL_DATA, "ema={decay: 0.9}", seeds=(0, 1), keep=True)
    (first, second), (alone,) = (
        [record["resolved"]["kept_weights"]["sha256"] for record in records] for records in (shared, separate)
    )
    assert first != second == alone


def test_the_record_says_what_was_shared(jobs):
    first, second, third = run(jobs(SMALL_DATA, "warm_up_steps=1", shared=True, seeds=(4, 5, 6)))
    assert [one["resolved"]["shared_process"] for one in (first, second, third)] == [True, True, True]
    names = [span["name"] for span in second["spans"]]
    assert names == ["start", "build", "init", "warm_up", "init", "train", "eval", "train", "final_eval"]
    assert "shared_s" not in first["resolved"]
    spent = dict.fromkeys(("data", "warm_up"), 0.0)
    for span in first["spans"]:
        if span["name"] in spent:
            spent[span["name"]] += span["end_s"] - span["start_s"]
    for later in (second, third):
        assert {name: later["resolved"]["shared_s"][name] for name in spent} == pytest.approx(spent)
        assert later["machine"] == first["machine"]
        assert later["data"] == first["data"]
        assert later["spans"][0]["start_s"] == 0
    assert "compiled_cache" not in first["resolved"]
    alone = run(jobs(SMALL_DATA, shared=False, seeds=(4,)))[0]
    assert "shared_process" not in alone["resolved"]
    assert "waits" not in alone


def test_each_seed_has_energy_and_a_peak_of_its_own(jobs, monkeypatch):
    class Counter:
        name = "test"
        coarse_below_s = 1.0
        read = 0.0

        def joules(self) -> float:
            Counter.read += 1
            return Counter.read

    monkeypatch.setattr("bench.measures.base.open_counter", lambda *_: Counter())
    begun = []
    monkeypatch.setattr("bench.training.device.Device.begin_peak_memory", lambda device: begun.append(device))
    records = run(jobs(SMALL_DATA, shared=True, seeds=(0, 1, 2)))
    energies = [record["metrics"]["energy_j"] for record in records]
    assert energies[1] == energies[2] < energies[0] < Counter.read / 2
    assert len(begun) == 2


def test_networks_of_another_make_do_not_become_one_another():
    with pytest.raises(ValueError, match="a Linear cannot become a Conv2d"):
        become(torch.nn.Linear(2, 2), torch.nn.Conv2d(2, 2, 1))

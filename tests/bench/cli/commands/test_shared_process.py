"""`bench run --shared-process`: what it refuses, what it makes of a process that fails, and the same numbers."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from bench.cli.commands import run as command
from bench.cli.commands.run import RunOptions
from bench.execution.interrupts import Interrupts
from bench.execution.measured import Measured
from tests.command import records

BRIEF = ("--device", "cpu", "--set", "epochs=1", "--set", "target_accuracy=null", "--set", "model.width=4")


def test_three_seeds_of_digits_are_the_same_in_one_process_and_in_three(here, tmp_path):
    results = {}
    for name, options in {"shared": ["--shared-process"], "separate": []}.items():
        answer = here(tmp_path, "run", "digits", "--seeds", 3, *BRIEF, *options, "--results", name)
        assert answer.code == 0, answer.out + answer.err
        results[name] = records(tmp_path, name)
    for shared, separate in zip(results["shared"], results["separate"], strict=True):
        assert shared["seed"] == separate["seed"]
        assert shared["cell"] == separate["cell"]
        for name in ("accuracy", "loss", "epochs", "steps", "examples", "train_flops"):
            assert shared["metrics"][name] == separate["metrics"][name], name
        assert [{**row, "train_s": 0} for row in shared["epochs"]] == [{**r, "train_s": 0} for r in separate["epochs"]]
        assert shared["config"]["resolved"]["shared_process"] is True
        assert "shared_process" not in separate["config"]["resolved"]
        assert (tmp_path / "shared" / shared["log"]).is_file()
    assert len({record["metrics"]["accuracy"] for record in results["shared"]}) > 1
    started = [record["started_at"] for record in results["shared"]]
    assert started == sorted(set(started))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--measure", "throughput"), "only time_to_accuracy can begin anew.*leave it out with --measure throughput"),
        (("--set", "devices=2"), "each of 2 devices has a process of its own.*set devices to 1"),
    ],
)
def test_what_cannot_begin_anew_in_place_is_refused(tmp_path, bench, arguments, words):
    answer = bench("run", "digits", "--shared-process", "--device", "cpu", *arguments)
    assert answer.code == 2, answer.out + answer.err
    assert re.search(words, answer.err)
    assert "Traceback" not in answer.err
    assert not (tmp_path / "results").exists()


class Processes:
    """Stands for `execute`: the seeds in `lethal` end the process that they are trained in, by these statuses."""

    def __init__(self, lethal: dict[int, str], stopped_in: int | None = None) -> None:
        self.lethal, self.stopped_in, self.seeds_of = lethal, stopped_in, []

    def __call__(self, job: Any, _follow: Any, *, interrupts: Interrupts, next_job: Any) -> Measured:
        self.seeds_of.append([])
        while True:
            self.seeds_of[-1].append(job.seed)
            if job.seed == self.stopped_in:
                interrupts.count += 1
            measured = Measured(status=self.lethal.get(job.seed, "ok"))  # type: ignore[arg-type]
            following = None if job.seed in self.lethal else next_job(measured)
            if following is None:
                return measured
            job = following


def campaign(tmp_path: Any, monkeypatch: Any, processes: Processes, shared: bool = True) -> tuple[int, list[str], str]:
    """The exit code, each record's status, and what was printed."""
    monkeypatch.setattr(command, "execute", processes)
    console = Console(file=io.StringIO(), width=160)
    options = RunOptions("digits", seeds=5, device="cpu", results=tmp_path, shared_process=shared)
    code = command.run(options, console)
    return code, [record["status"] for record in records(tmp_path, ".")], console.file.getvalue()  # type: ignore[attr-defined]


def test_what_a_failed_process_leaves_is_for_a_new_one(tmp_path, monkeypatch):
    processes = Processes({1: "oom", 2: "crashed"})
    code, statuses, printed = campaign(tmp_path, monkeypatch, processes)
    assert processes.seeds_of == [[0, 1], [2], [3, 4]]
    assert statuses == ["ok", "oom", "crashed", "ok", "ok"]
    assert code == 1
    assert "the 3 seeds that are left go on in a new process" in printed


def test_a_seed_that_was_stopped_is_the_last(tmp_path, monkeypatch):
    processes = Processes({2: "interrupted"}, stopped_in=2)
    code, statuses, _ = campaign(tmp_path, monkeypatch, processes)
    assert (code, statuses) == (130, ["ok", "ok", "interrupted"])


def test_a_seed_that_ends_well_though_ctrl_c_came_is_the_last(tmp_path, monkeypatch):
    processes = Processes({}, stopped_in=2)
    _, statuses, _ = campaign(tmp_path, monkeypatch, processes)
    assert statuses == ["ok", "ok", "ok"]


def test_without_the_option_each_seed_has_a_process(tmp_path, monkeypatch):
    processes = Processes(dict.fromkeys(range(5), "ok"))
    campaign(tmp_path, monkeypatch, processes, shared=False)
    assert processes.seeds_of == [[0], [1], [2], [3], [4]]

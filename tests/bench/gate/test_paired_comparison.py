"""Two real trees, each in a process of its own; what they measure is made up, so that it takes no time."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.gate.agent_process import AgentFailed, AgentProcess
from bench.gate.checkout import checked_out
from bench.gate.compare import Limits
from bench.gate.paired_cell import open_paired_cells
from bench.gate.paired_comparison import Arm, PairedComparison
from bench.gate.verdict import Verdict
from bench.host.git import git
from bench.runs.store import Store


@contextlib.contextmanager
def comparison_of(repository: Path, folder: Path, matrix: str = "cells.json", **options):
    commit = git(repository, "rev-parse", "HEAD")
    with checked_out(repository, commit) as checkout, contextlib.ExitStack() as agents:
        base, head = (AgentProcess(root, folder / f"{root.name}.log") for root in (checkout.base, checkout.head))
        agents.callback(base.close)
        agents.callback(head.close)
        arms = [
            Arm(name, agent, agent.ask("describe")["code"], {"id": "0123456789ab"})
            for name, agent in (("base", base), ("head", head))
        ]
        (checkout.base / matrix).write_bytes((repository / matrix).read_bytes())
        paired_cells = open_paired_cells([(checkout.base / matrix, checkout.head / matrix)], base, head, "cpu", 1)
        yield PairedComparison(paired_cells, *arms, Store(folder / "regress.jsonl"), Limits(), "cpu", folder, **options)


def verdicts(comparison: PairedComparison) -> dict[str, str]:
    return {one.judgement.quantity.metric if one.judgement else "": one.word for one in comparison.findings()}


@pytest.mark.usefixtures("cheap_starts")
@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, {"step_min_s": "same", "peak_host_bytes": "same"}),
        ({"step_s": 0.0107}, {"step_min_s": "slower", "peak_host_bytes": "same"}),
        ({"step_s": 0.009}, {"step_min_s": "faster", "peak_host_bytes": "same"}),
        ({"num_bytes": 120_000_000}, {"step_min_s": "same", "peak_host_bytes": "more memory"}),
    ],
)
def test_each_tree_runs_its_own_code(repository, change, tmp_path, monkeypatch, changed, expected):
    monkeypatch.chdir(repository)  # head, which a careless interpreter would import for both
    change(**changed)
    with comparison_of(repository, tmp_path) as comparison:
        comparison.run(math.inf)
        assert verdicts(comparison) == expected
        (paired_cell,) = comparison.cells
        assert paired_cell.decided
        assert 8 <= len(paired_cell.pairs) <= 20
    assert git(repository, "worktree", "list").count("\n") == 0


@pytest.mark.usefixtures("cheap_starts")
def test_arms_take_turns_and_swap_their_order(repository, tmp_path):
    order = []
    with comparison_of(
        repository, tmp_path, rounds=8, on_run=lambda cell, arm, position: order.append(arm)
    ) as comparison:
        comparison.run(math.inf)
    assert order[:8] == ["base", "head", "head", "base", "base", "head", "head", "base"]


@pytest.mark.usefixtures("cheap_starts")
def test_a_less_accurate_head_is_worse_at_once(repository, change, tmp_path):
    cells = {"recipe": "digits", "measure": "time_to_accuracy", "cells": [{"size": 1}]}
    (repository / "cells.json").write_text(json.dumps(cells))
    change(accuracy=0.94)
    with comparison_of(repository, tmp_path) as comparison:
        comparison.run(math.inf)
        assert verdicts(comparison)["accuracy"] == "less accurate"


@pytest.mark.usefixtures("cheap_starts")
def test_what_was_measured_before_counts_on(repository, tmp_path):
    with comparison_of(repository, tmp_path) as comparison:
        clock = iter(range(1000))
        comparison.run(7, now=lambda: next(clock))
        before = len(comparison.cells[0].pairs)
        assert 0 < before < 6
    with comparison_of(repository, tmp_path) as comparison:
        assert comparison.resume() == before
        comparison.run(math.inf)
        assert verdicts(comparison)["step_min_s"] == "same"
        rounds = [run.config["resolved"]["gate"]["round"] for run in comparison.store.read()]
        assert sorted(rounds) == sorted([*range(len(comparison.cells[0].pairs))] * 2)


@pytest.mark.usefixtures("cheap_starts")
def test_half_a_pair_does_not_count(repository, tmp_path):
    with comparison_of(repository, tmp_path) as comparison:
        comparison.run(math.inf)
        path = comparison.store.path
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    with comparison_of(repository, tmp_path) as comparison:
        assert comparison.resume() == len(lines) // 2 - 1


def test_a_cell_that_only_head_has_has_no_baseline(repository, tmp_path):
    (repository / "bench" / "spec" / "matrix.py").write_text(
        (repository / "bench" / "spec" / "matrix.py").read_text().replace('("digits",)', '("digits", "new")')
    )
    (repository / "cells.json").write_text('{"recipe": "new", "measure": "throughput", "cells": [{"size": 1}]}')
    with comparison_of(repository, tmp_path) as comparison:
        comparison.run(math.inf)
        (finding,) = comparison.findings()
        assert finding.verdict is Verdict.NO_BASELINE
        assert "unknown recipe 'new'" in finding.why


def test_a_matrix_that_is_wrong_in_head_is_refused(repository, tmp_path):
    (repository / "cells.json").write_text('{"recipe": "nothing", "measure": "throughput", "cells": []}')
    with pytest.raises(UsageError, match="unknown recipe 'nothing'"), comparison_of(repository, tmp_path):
        pass


def test_head_that_fails_where_the_base_does_not_is_broken(repository, change, tmp_path):
    change(step_s=None)
    with comparison_of(repository, tmp_path) as comparison:
        comparison.run(math.inf)
        (finding,) = comparison.findings()
        assert finding.verdict is Verdict.BROKEN
        assert "ValueError: no step" in finding.why


@pytest.mark.usefixtures("cheap_starts")
def test_a_pair_that_failed_is_measured_anew_by_the_next_call(repository, change, tmp_path):
    change(step_s=None)
    with comparison_of(repository, tmp_path) as comparison:
        comparison.run(math.inf)
    change()
    with comparison_of(repository, tmp_path) as comparison:
        assert comparison.resume() == 0
        comparison.run(math.inf)
        assert verdicts(comparison)["step_min_s"] == "same"


def test_a_base_that_cannot_be_imported_says_why(repository, tmp_path):
    (repository / "bench" / "execution" / "runner.py").write_text("import nothing_of_that_name\n")
    agent = AgentProcess(repository, tmp_path / "log")
    try:
        with pytest.raises(AgentFailed, match="No module named 'nothing_of_that_name'") as failed:
            agent.ask("describe")
        assert not failed.value.loaded
    finally:
        agent.close()


def test_a_tree_never_takes_another_ones_code(repository, tmp_path, monkeypatch):
    """Not even where the present folder holds that code, which Python and the fork server look into first."""
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(repository / "bench" / "gate", elsewhere / "bench" / "gate")
    monkeypatch.chdir(repository)
    agent = AgentProcess(elsewhere, tmp_path / "log")
    try:
        with pytest.raises(AgentFailed, match=r"was imported from .*, and not from"):
            agent.ask("describe")
    finally:
        agent.close()


def test_a_module_that_lies_in_the_tree_beside_its_packages_is_never_imported(repository, tmp_path):
    for name in ("queue", "profile", "yaml"):
        (repository / f"{name}.py").write_text(f"raise SystemExit('the user\\'s {name} was imported')\n")
    agent = AgentProcess(repository, tmp_path / "log")
    try:
        assert agent.ask("describe")["sources"]
    finally:
        agent.close()


def test_an_agent_that_dies_is_said_and_leaves_nothing(repository, tmp_path):
    cells = {"recipe": "digits", "measure": "throughput", "cells": [{"dies": True}]}
    (repository / "cells.json").write_text(json.dumps(cells))
    with (
        comparison_of(repository, tmp_path) as comparison,
        pytest.raises(AgentFailed, match="ended in the middle of `run`"),
    ):
        comparison.run(math.inf)
    assert git(repository, "worktree", "list").count("\n") == 0


KILLED = """
import sys, time
from pathlib import Path
from bench.gate.checkout import checked_out
from bench.host.git import git
repository = Path(sys.argv[1])
with checked_out(repository, git(repository, "rev-parse", "HEAD")) as checkout:
    print(checkout.base, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_checkout_goes_away_at_once_or_with_the_next(repository, number):
    with subprocess.Popen([sys.executable, "-c", KILLED, str(repository)], stdout=subprocess.PIPE, text=True) as killed:
        base = Path(killed.stdout.readline().strip())
        assert (base / "bench" / "step_s.py").is_file()
        os.kill(killed.pid, number)
    if number == signal.SIGKILL:
        assert base.exists()
        with checked_out(repository, git(repository, "rev-parse", "HEAD")):
            pass
    assert not base.parent.exists()
    assert git(repository, "worktree", "list").count("\n") == 0


def test_closing_a_tree_ends_all_its_processes(repository, tmp_path):
    agent = AgentProcess(repository, tmp_path / "log")
    agent.ask("describe")
    group = agent._process.pid
    agent.close()
    deadline_s = time.monotonic() + 10
    while time.monotonic() < deadline_s:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail("processes are left")


def test_what_a_start_fixes_is_no_regression_of_equal_code(repository, starts, tmp_path):
    """One start of each side for all rounds would call the side of the start number 1 larger, and slower."""
    with comparison_of(repository, tmp_path) as comparison:
        comparison.run(math.inf)
        (paired_cell,) = comparison.cells
        assert {"slower", "faster", "more memory", "less memory"}.isdisjoint(verdicts(comparison).values())
        assert len(list(starts.iterdir())) == 2 * len(paired_cell.pairs)
        runs = list(comparison.store.read())
    assert len({run.config["resolved"]["gate"]["start"] for run in runs}) == len(runs) / 2
    assert len({run.metrics["peak_host_bytes"] for run in runs}) == 2  # levels there were


def test_sources_that_change_between_two_starts_are_not_mixed(repository, change, tmp_path):
    with comparison_of(repository, tmp_path) as comparison:
        comparison.head.agent.await_ready()
        comparison.on_run = lambda cell, arm, position: change(step_s=0.011) if position == 1 else None
        with pytest.raises(UsageError, match="were changed while they were measured"):
            comparison.run(math.inf)


LOUD = {"recipe": "digits", "measure": "throughput", "cells": [{"noise": 0.2}, {"size": 1}]}


@pytest.mark.usefixtures("cheap_starts")
def test_a_cell_too_noisy_to_decide_is_told_early_and_another_goes_on(repository, change, tmp_path):
    change(step_s=0.0101)  # else the same seeds have the same noise
    (repository / "cells.json").write_text(json.dumps(LOUD))
    told = []
    with comparison_of(repository, tmp_path, on_decided=lambda cell, found: told.append(cell.label)) as comparison:
        comparison.run(math.inf)
        noisy, steady = comparison.cells
        assert len(noisy.pairs) <= 10 < comparison.rounds
        assert steady.decided
        step = next(one for one in comparison.findings() if one.cell == noisy.label and one.verdict is Verdict.UNSURE)
    assert f"too noisy to be decided here: the {comparison.rounds} rounds" in step.why
    assert f"measured no more after {len(noisy.pairs)}; quiet the machine" in step.why
    assert sorted(told) == [noisy.label, steady.label]


@pytest.mark.usefixtures("cheap_starts")
def test_a_budget_without_room_for_a_verdict_is_told_after_two_rounds(repository, tmp_path):
    ended = []
    with comparison_of(repository, tmp_path, on_run=lambda cell, arm, position: ended.append(arm)) as comparison:
        comparison.run(40, now=lambda: 4 * len(ended))
        (paired_cell,) = comparison.cells
        assert len(paired_cell.pairs) == 2
        (step, _) = comparison.findings()
    assert (
        "there is time for 5 rounds, and 8 are needed at the least; give it about 24.0 s more of --budget" in step.why
    )


@pytest.mark.parametrize(
    ("gate", "why"),
    [
        (None, "older than the gate's protocol"),
        ("", "older than the gate's protocol"),
        ("PROTOCOL = 0\n", "speaks protocol 0, and this one 1 to 2; name a younger revision"),
        ("PROTOCOL = 700\n", "speaks protocol 700, and this one 1 to 2; run `bench regress` of that revision"),
    ],
)
def test_code_that_speaks_no_known_protocol_is_refused_before_any_of_it_runs(repository, tmp_path, gate, why):
    (repository / "bench" / "__init__.py").write_text("raise SystemExit('it ran')\n")
    (repository / "bench" / "gate" / "__init__.py").write_text(gate or "")
    if gate is None:
        (repository / "bench" / "gate" / "agent.py").unlink()
    with pytest.raises(AgentFailed, match=re.escape(why)):
        AgentProcess(repository, tmp_path / "log")
    assert not (tmp_path / "log").exists()


def test_a_tree_answers_with_its_own_agent(repository, tmp_path):
    """So modules may be renamed between base and head: only the agent beside them has to know their names."""
    agent = repository / "bench" / "gate" / "agent.py"
    (repository / "bench" / "execution").rename(repository / "bench" / "performance")
    agent.write_text(agent.read_text().replace("bench.execution", "bench.performance"))
    with comparison_of(repository, tmp_path, rounds=8) as comparison:
        comparison.run(math.inf)
        assert verdicts(comparison)["step_min_s"] == "same"


@pytest.mark.usefixtures("cheap_starts")
def test_runs_beside_something_busy_are_told_with_the_sides_that_they_are_of(repository, tmp_path):
    with comparison_of(repository, tmp_path, rounds=8) as comparison:
        comparison.run(math.inf)
        assert comparison.contended() == []
        busy = {"wall_s": 2.0, "cores": 2, "threads": 2, "own_cpu_s": 2.0, "others_cpu_s": 2.0}
        for base, _ in comparison.cells[0].pairs[:3]:
            base.metrics["contended"] = True
            base.spans.append({"name": "measure", "host": busy})
        (told,) = comparison.contended()
    assert "3 of 8 runs of the base and 0 of head's (other processes took 50% of the CPU time in measure" in told

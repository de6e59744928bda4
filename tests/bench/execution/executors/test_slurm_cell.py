"""What a job of Slurm does when it begins again, and when Slurm asks it to end; without Slurm and without submitit."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from bench.execution.executors import slurm_cell
from bench.execution.executors.on_host import Driver
from bench.execution.executors.slurm_cell import OffCheck, SlurmCell
from bench.execution.executors.slurm_exchange import START, Exchange
from bench.execution.host_check import HostCheck
from bench.execution.measured import Measured
from bench.runs.slow_hosts import KnownReferences
from tests.bench.execution.executors.tasks import task_of

EPOCH = {"kind": "epoch", "epoch": 1, "accuracy": 0.5}
MINUTE_S = 60.0
KIND = "kind"


@pytest.fixture(autouse=True)
def job(monkeypatch):
    """The environment of a job's only task; the signals of this process are as before at the end."""
    here = SimpleNamespace(global_rank=0, cluster="slurm")
    monkeypatch.setitem(sys.modules, "submitit", SimpleNamespace(JobEnvironment=lambda: here))
    monkeypatch.setitem(sys.modules, "submitit.helpers", SimpleNamespace(DelayedSubmission=lambda again: again))
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def cell(tmp_path):
    exchange = Exchange(tmp_path / "its-id")
    exchange.folder.mkdir()
    return SlurmCell(task_of(tmp_path), Driver.here(), exchange, 1, 240 * MINUTE_S)


@pytest.mark.usefixtures("workers")
def test_a_job_that_slurm_begins_again_leaves_what_was_cut_as_a_row_and_does_nothing_once_it_is_done(cell):
    exchange = cell.exchange
    for event in (START, EPOCH):
        exchange.tell(event)
    exchange.keep("host-0", ({"host": "earlier"}, None))
    assert cell() == "ok"
    (cut,) = exchange.found("cut-*")
    assert (cut.status, cut.epochs) == ("interrupted", [{"epoch": 1, "accuracy": 0.5}])
    assert cut.reason == "Slurm took its host away without notice, and has begun the job again"
    assert cut.facts["node"] == {"host": "earlier"}
    outcome = exchange.find("outcome-0")
    assert (outcome.measured.status, len(exchange.parts())) == ("ok", 2)
    assert outcome.measured.facts["node"]["host"] not in (None, "earlier")
    assert cell() == "ok"
    assert len(exchange.parts()) == 2


@pytest.mark.usefixtures("workers")
def test_a_run_that_ends_by_the_sigterm_of_its_job_has_no_outcome_before_slurm_ends_the_job(cell, monkeypatch):
    slept = []

    def sleep(seconds):
        slept.append((seconds, cell.exchange.find("outcome-0")))

    monkeypatch.setattr(slurm_cell, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))

    def killed(*_):
        os.kill(os.getpid(), signal.SIGTERM)
        return slurm_cell.HostReport(Measured("interrupted", "stopped by the user"))

    monkeypatch.setattr(slurm_cell, "carry_out", killed)
    assert cell() == "interrupted"
    assert slept == [(slurm_cell.ENDING_S, None)]
    assert cell.exchange.find("outcome-0").measured.reason == "Slurm asked its job to end"


@pytest.mark.parametrize(("left_min", "is_end"), [(100, False), (4, False), (2, True), (0.5, True)])
def test_notice_near_the_end_of_the_time_asked_for_is_a_time_out_and_else_a_preemption(
    cell, monkeypatch, left_min, is_end
):
    """Slurm may give its notice, of a minute, up to a minute early."""
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time() + left_min * MINUTE_S)))
    again = cell.checkpoint()
    if is_end:
        assert again is None
        assert cell.exchange.find("outcome-0").measured.status == "timeout"
    else:
        assert (again.cuts, again.exchange) == (1, cell.exchange)
        assert [cut.reason for cut in cell.exchange.found("cut-*")] == [
            "Slurm took its host away; the same job runs it again"
        ]


def test_without_the_end_in_the_environment_time_counts_from_the_start(cell, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    cell._began_s = time.monotonic() - 239 * MINUTE_S
    assert cell.checkpoint() is None


def test_a_host_that_bench_cannot_use_leaves_the_run_to_another(cell, monkeypatch):
    monkeypatch.setenv("SLURMD_NODENAME", "node7")
    cell.driver = replace(cell.driver, sources_sha256="0" * 64)
    cell()
    why, name = cell.exchange.find("outcome-0").unfit
    assert (why.partition(";")[0], name) == ("it has another version of bench", "node7")


class TestASlowHost:
    """Another host of its kind is planted, which does in no time what this one takes a while for."""

    @pytest.fixture
    def off(self, tmp_path, monkeypatch):
        timed = []

        def time_host(driver, device):
            timed.append(device)
            return {"matrix_product_s": 1.4}

        monkeypatch.setattr(slurm_cell, "time_host", time_host)

        def check(refused):
            made = OffCheck(HostCheck(KnownReferences([]), refused), "token", Exchange(tmp_path))
            there = {"id": KIND, "host": "there", "reference": {"matrix_product_s": 1.0}}
            made.exchange.keep("reference-token-there", there)
            return made, timed

        return check

    def test_is_timed_once_and_marked(self, off, cell):
        check, timed = off(refused=False)
        for _ in range(2):
            machine = {"id": KIND, "host": "here"}
            why = check.why(machine, cell.driver, "cpu")
            assert machine["off"] == why == "a matrix product takes 40% longer than on 1 other host of its kind"
        assert timed == ["cpu"]

    def test_does_not_begin_the_run_where_it_is_refused(self, off, cell, monkeypatch):
        monkeypatch.setenv("SLURMD_NODENAME", "node7")
        monkeypatch.setattr(slurm_cell, "describe", lambda driver: SimpleNamespace(
            machine={"id": KIND, "host": "here"}, unfit=None
        ))  # fmt: skip
        cell.off, _ = off(refused=True)
        cell()
        outcome = cell.exchange.find("outcome-0")
        why = "it is off: a matrix product takes 40% longer than on 1 other host of its kind"
        assert outcome.unfit == (why, "node7")
        assert outcome.measured.spans == []

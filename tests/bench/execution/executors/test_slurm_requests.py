"""What Slurm is asked for. Its commands are stand-ins that write down what they are given."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from bench.errors import MissingError, UsageError
from bench.execution.executors.host_report import HostReport
from bench.execution.executors.on_host import Driver
from bench.execution.executors.slurm_exchange import START, Exchange
from bench.execution.interrupts import Interrupts
from bench.execution.measured import Lost, Measured
from bench.runs.store import Store
from tests.bench.execution.executors.tasks import task_of

pytest.importorskip("submitit", reason="needs the extra [slurm]")
SBATCH = """#!/bin/sh
if [ -e "$0.full" ]; then echo "sbatch: error: QOSMaxSubmitJobPerUserLimit" >&2; exit 1; fi
cat "$1" >> "$0.asked"
echo "Submitted batch job 7"
"""


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """The folder of the commands."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("srun", "#!/bin/sh\n"), ("sacct", "#!/bin/sh\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (folder / "scancel").write_text('#!/bin/sh\necho "$@" >> "$0.asked"\n')
    (folder / "scancel").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


@pytest.fixture
def slurm(tmp_path, commands):
    from bench.execution.executors.slurm import Slurm

    said = []

    def make(jobs=None, sources="now", **options):
        store = Store(tmp_path / "results" / "runs" / "runs.jsonl")
        driver = replace(Driver.here(), sources_sha256=sources)
        return Slurm(tmp_path / "results", jobs, driver, options, store, said.append)

    make.said = said
    return make


def begin(executor, folder, number, *settings, timeout_s=None, run="run"):
    """A run that waits to be submitted, as the sweep begins it."""
    task = task_of(folder, *settings)
    attempt = replace(task.attempt, run_id=f"{run}-{number}")
    task = replace(task, attempt=attempt, entry=replace(task.entry, seed=number), timeout_s=timeout_s)
    assert executor.take(task.entry) is not None
    return executor.start(task, lambda event: None, Interrupts())


def asked(commands, command="sbatch"):
    """What the command was given so far, once."""
    file = commands / f"{command}.asked"
    text = file.read_text()
    file.unlink()
    return text


def test_runs_alike_are_one_array_with_the_time_and_the_cpus_that_they_need(tmp_path, slurm, commands):
    executor = slurm(jobs=3, partition="gpu")
    for number in range(2):
        begin(executor, tmp_path, number, "threads=3", timeout_s=240)
    executor.wait([], 0)
    script = asked(commands)
    for line in ("array=0-1%2", "partition=gpu", "time=14", "cpus-per-task=3", "nodes=1", "signal=USR2@60"):
        assert f"#SBATCH --{line}\n" in script
    assert "gpus" not in script
    assert (tmp_path / "results" / "slurm" / "run-1" / "job").read_text() == "7_1"


def test_no_more_jobs_are_submitted_than_asked_for(tmp_path, slurm):
    executor = slurm(jobs=2)
    for number in range(2):
        begin(executor, tmp_path, number)
    assert executor.take(task_of(tmp_path).entry) is None


def test_hosts_that_are_off_are_left_out_besides_those_that_the_user_leaves_out(tmp_path, slurm, commands):
    executor = slurm(exclude="node1")
    executor.leave_out("node7", "slow")
    executor.leave_out("node7", "slow")
    begin(executor, tmp_path, 0)
    executor.wait([], 0)
    assert "#SBATCH --exclude=node1,node7\n" in asked(commands)
    assert slurm.said == ["Note: host node7 gets no run from now on: slow"]


def test_what_slurm_does_not_take_is_offered_again_while_other_jobs_are_there(tmp_path, slurm, commands, monkeypatch):
    monkeypatch.setattr("bench.execution.executors.slurm.OFFER_AGAIN_S", 0.0)
    executor = slurm()
    begin(executor, tmp_path, 0)
    executor.wait([], 0)
    (commands / "sbatch.full").touch()
    waiting = begin(executor, tmp_path, 1)
    executor.wait([], 0)
    assert waiting.job is None
    assert "Slurm did not take 1 job: sbatch: error: QOSMaxSubmitJobPerUserLimit" in slurm.said[0]
    (commands / "sbatch.full").unlink()
    executor.wait([], 0)
    assert waiting.job.job_id == "7"


def test_a_limit_on_jobs_is_said_with_what_to_do(tmp_path, slurm, commands):
    (commands / "sbatch.full").touch()
    executor = slurm()
    begin(executor, tmp_path, 0)
    with pytest.raises(
        MissingError, match="QOSMaxSubmitJobPerUserLimit; if there is a limit on jobs, --jobs N submits"
    ):
        executor.wait([], 0)


def test_jobs_that_an_earlier_command_has_left_are_taken_over(tmp_path, slurm, commands):
    earlier = slurm()
    begin(earlier, tmp_path, 0)
    earlier.wait([], 0)
    later = slurm()
    assert begin(later, tmp_path, 0, run="again").exchange.folder.name == "run-0"
    later.wait([], 0)
    assert asked(commands).count("#!/bin/bash") == 1


@pytest.mark.parametrize("has_begun", [False, True])
def test_queued_jobs_of_other_sources_are_replaced_and_running_ones_are_not(tmp_path, slurm, commands, has_begun):
    earlier = slurm(sources="before")
    begin(earlier, tmp_path, 0)
    earlier.wait([], 0)
    if has_begun:
        Exchange(tmp_path / "results" / "slurm" / "run-0").tell(START)
    later = slurm()
    follower = begin(later, tmp_path, 0, run="again")
    assert follower.exchange.folder.name == ("run-0" if has_begun else "again-0")
    if not has_begun:
        assert asked(commands, "scancel") == "7\n"
        assert slurm.said == ["Note: 1 queued job had other sources of bench; new ones take their place"]


def test_a_preempted_job_that_slurm_does_not_begin_again_is_lost(tmp_path, slurm, commands, monkeypatch):
    from bench.execution.executors import slurm_follower

    (commands / "sacct").write_text("#!/bin/sh\necho 'JobID|State|NodeList'\necho '7|PREEMPTED|node7'\n")
    clock = SimpleNamespace(now_s=1000.0)
    clock.monotonic = lambda: clock.now_s
    monkeypatch.setattr(slurm_follower, "time", clock)
    executor = slurm()
    follower = begin(executor, tmp_path, 0)
    executor.wait([], 0)
    follower.exchange.tell(START)
    follower.exchange.tell({"kind": "epoch", "epoch": 1})
    follower.job.paths.stderr.write_text("srun: error\nslurmstepd: error: *** JOB 7 CANCELLED DUE TO PREEMPTION ***\n")
    for _ in range(4):
        follower.advance()
        clock.now_s += slurm_follower.FILES_S
    assert follower.over
    with pytest.raises(Lost, match=r"job 7 ended as PREEMPTED, and the run left no word; .* DUE TO PREEMPTION") as lost:
        follower.result()
    assert lost.value.seen.epochs == [{"epoch": 1}]


@pytest.mark.parametrize(
    ("setting", "words"),
    [({"nodes": 2}, "--slurm nodes: bench sets this itself"), ({"time": 30}, "give timeout_min=MINUTES")],
)
def test_what_bench_decides_is_refused(slurm, setting, words):
    with pytest.raises(UsageError, match=words):
        slurm(**setting)


def test_a_run_that_its_host_did_not_begin_is_lost_and_the_host_is_left_out(tmp_path, slurm, commands):
    executor = slurm()
    follower = begin(executor, tmp_path, 0)
    executor.wait([], 0)
    asked(commands)
    follower.exchange.keep("host-0", ({"host": "there"}, None))
    follower.exchange.keep("outcome-0", HostReport(Measured(), unfit=("it has another version of bench", "node7")))
    follower.advance()
    with pytest.raises(Lost, match="its host was not used: it has another version of bench") as lost:
        follower.result()
    assert lost.value.seen.facts["node"] == {"host": "there"}
    begin(executor, tmp_path, 1)
    executor.wait([], 0)
    assert "#SBATCH --exclude=node7\n" in asked(commands)

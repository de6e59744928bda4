"""Runs as jobs of Slurm's arrays, by submitit; results must be on a file system that all hosts see.

Jobs outlive the driver. The next sweep takes over what they have done and what they still do, and begins nothing twice.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import submitit
from submitit.core.utils import FailedJobError

from bench.errors import MissingError, UsageError
from bench.execution.executors.executor import Assignment, OnEvent, Place
from bench.execution.executors.on_host import Driver, HostReport
from bench.execution.executors.several import worst
from bench.execution.executors.slurm_cell import SIGNAL_DELAY_S, Exchange, SlurmCell
from bench.execution.following import RunFollower
from bench.execution.interrupts import Interrupts
from bench.execution.measured import Event, Lost, Measured, NotBegun
from bench.host.share import Share
from bench.runs.run import Status
from bench.runs.store import Store
from bench.spec.sweep_plan import PlannedRun

# Jobs of one array; the usual limit of Slurm is 1001.
MOST_JOBS = 1000
# The time asked of Slurm for a run without a limit of its own, and beyond that of one that has.
USUAL_MIN = 240
MARGIN_S = 600.0
# How often Slurm is asked about a job, and how long a file of a job that has ended may take to be seen here.
ASK_EVERY_S = 1.0
FILES_S = 15.0
# The time from asking a run to end until its job is cancelled.
GRACE_S = 30.0
# Every preemption may be followed by another one; submitit counts those soon after the start as time-outs.
MOST_REQUEUES = 1000
CLUSTERS = ("slurm", "local")
JOBS = {"slurm": submitit.SlurmJob, "local": submitit.LocalJob}
# What submitit calls alike for all clusters; everything else is Slurm's own.
GENERIC = ("mem_gb", "cpus_per_task", "stderr_to_stdout")
OURS = ("nodes", "tasks_per_node", "gpus_per_node", "name", "array_parallelism", "signal_delay_s")
# What Slurm says of a job that it ended itself, as a status.
STATES: dict[str, Status] = {"OUT_OF_MEMORY": "oom", "TIMEOUT": "timeout", "CANCELLED": "interrupted"}


class Slurm:
    """The executor of a Slurm cluster, or with `cluster=local` of submitit's stand-in on this machine."""

    def __init__(
        self, results: Path, jobs: int | None, driver: Driver, options: Mapping[str, Any], store: Store
    ) -> None:
        """`options` are those of `--slurm`. Raises MissingError without Slurm, UsageError for an unknown option."""
        self._driver, self._jobs, self._store = driver, jobs, store
        self._options = dict(options)
        self._limit_min = self._options.pop("timeout_min", None)
        if self._limit_min is not None and not _is_positive(self._limit_min):
            raise UsageError(f"--slurm timeout_min={self._limit_min}: give a number of minutes, more than 0")
        self._cluster = str(self._options.pop("cluster", "slurm"))
        if self._cluster not in CLUSTERS:
            raise UsageError(f"--slurm cluster={self._cluster}: it is {' or '.join(CLUSTERS)}")
        for name in OURS:
            if name in self._options:
                raise UsageError(f"--slurm {name}: bench sets this itself, by the cells and --jobs")
        if self._cluster == "slurm" and shutil.which("sbatch") is None:
            raise MissingError(
                "--executor slurm: there is no sbatch here; call it on a login node of the cluster, or try it on this "
                "machine with --slurm cluster=local"
            )
        self._folder = (results / "slurm").absolute()
        self._queue: list[SlurmFollower] = []
        self._recorded: list[Path] = []
        self._running = 0
        self._open: dict[tuple[str, int], Exchange] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: object, *_: object) -> None:
        if error is None:  # else the last run may not be recorded
            self._forget_recorded()

    @property
    def slots(self) -> int:
        return self._jobs or 1

    def take(self, entry: PlannedRun) -> Place | None:  # noqa: ARG002 - Slurm knows what fits
        # The stand-in has no queue.
        if self._running == (MOST_JOBS if self._cluster == "slurm" else self.slots):
            return None
        self._running += 1
        return Place(Share())

    def give_back(self, place: Place) -> None:  # noqa: ARG002 - all places are alike
        self._running -= 1

    def start(self, task: Assignment, on_event: OnEvent, interrupts: Interrupts) -> RunFollower:
        on_event({"kind": "phase", "name": "queued", "spans": []})
        known = self._unfinished().pop(task.entry.key, None)
        if known is not None:
            follower = SlurmFollower(self, task, known, on_event, interrupts)
            follower.job = JOBS[self._cluster](self._folder, (known.folder / "job").read_text())
            return follower
        exchange = Exchange(self._folder / task.attempt.run_id)
        exchange.folder.mkdir(parents=True)
        exchange.keep("key", task.entry.key)
        follower = SlurmFollower(self, task, exchange, on_event, interrupts)
        self._queue.append(follower)
        return follower

    def wait(self, followers: Sequence[RunFollower], timeout_s: float) -> None:  # noqa: ARG002 - files tell nobody
        self._forget_recorded()
        self._submit()
        time.sleep(timeout_s)

    def finished(self, exchange: Exchange) -> None:
        """What the run and its job have left is known here, and not needed once it is recorded."""
        job = exchange.folder / "job"
        if job.exists():
            self._recorded += self._folder.glob(f"{job.read_text()}_*")
        self._recorded.append(exchange.folder)

    def withdraw(self, follower: SlurmFollower) -> None:
        """Take back a run that was not submitted yet."""
        if follower in self._queue:
            self._queue.remove(follower)

    def _forget_recorded(self) -> None:
        for path in self._recorded:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        self._recorded.clear()

    def _unfinished(self) -> dict[tuple[str, int], Exchange]:
        """Runs of an earlier driver that it did not record, by cell and seed; those that it did are removed."""
        if self._open is None:
            self._open = {}
            for folder in sorted(self._folder.glob("*/")):
                exchange = Exchange(folder)
                key = exchange.find("key")
                if key is None or not (folder / "job").exists():  # it was never submitted
                    self._recorded.append(folder)
                else:
                    self._open[key] = exchange
            recorded = (
                {run.run_id for run in self._store.read({cell for cell, _ in self._open})} if self._open else set()
            )
            for key, exchange in list(self._open.items()):
                if exchange.folder.name in recorded:
                    self._recorded.append(self._open.pop(key).folder)
        return self._open

    def _submit(self) -> None:
        """Submit what is queued, an array for each kind of request."""
        alike: dict[tuple[int, int, float], list[SlurmFollower]] = defaultdict(list)
        for follower in self._queue:
            alike[follower.request].append(follower)
        self._queue.clear()
        for (hosts, devices, limit_s), followers in alike.items():
            executor = self._executor(hosts, devices, limit_s, followers[0].task.device == "cuda")
            try:
                jobs = executor.submit_array([one.cell(self._driver) for one in followers])
            except (FailedJobError, subprocess.CalledProcessError) as error:
                raise MissingError(f"Slurm did not take the jobs: {str(error).strip().splitlines()[-1]}") from None
            for follower, job in zip(followers, jobs, strict=True):
                follower.job = job
                (follower.exchange.folder / "job").write_text(job.job_id)

    def _executor(self, hosts: int, devices: int, limit_s: float, on_gpus: bool) -> Any:
        is_local = self._cluster == "local"
        count = {f"{self._cluster}_max_num_timeout": MOST_REQUEUES}
        executor = submitit.AutoExecutor(folder=self._folder, cluster=self._cluster, **count)
        named = {name if name in GENERIC else f"slurm_{name}": value for name, value in self._options.items()}
        try:
            executor.update_parameters(
                name="bench",
                timeout_min=math.ceil(limit_s / 60),
                # The stand-in has one host, and each of its tasks stands for one.
                nodes=1 if is_local else hosts,
                tasks_per_node=hosts if is_local else 1,
                gpus_per_node=devices if on_gpus else 0,
                cpus_per_task=named.pop("cpus_per_task", 1 if on_gpus else devices),
                slurm_array_parallelism=self._jobs or MOST_JOBS,
                slurm_signal_delay_s=SIGNAL_DELAY_S,
                **named,
            )
        except (NameError, AssertionError, ValueError) as error:
            raise UsageError(f"--slurm: {str(error).splitlines()[0]}") from None
        return executor

    def limit_s(self, timeout_s: float | None) -> float:
        """The time to ask of Slurm for a run that has this limit of its own."""
        if self._limit_min is not None:
            return float(self._limit_min) * 60
        return USUAL_MIN * 60 if timeout_s is None else timeout_s + MARGIN_S


class SlurmFollower:
    """Follows one job by its files, and asks Slurm only whether a job that leaves none is still there."""

    sources: tuple[Any, ...] = ()

    def __init__(
        self, cluster: Slurm, task: Assignment, exchange: Exchange, on_event: OnEvent, interrupts: Interrupts
    ) -> None:
        self.over = False
        self.task, self.exchange = task, exchange
        # None until it is submitted.
        self.job: Any = None
        self._cluster, self._on_event, self._interrupts = cluster, on_event, interrupts
        self._read_bytes = 0
        self._begun = False
        self._signals_told = interrupts.count
        self._outcomes: dict[int, HostReport] = {}
        self._ended: Measured | Exception | None = None
        self._next_ask_s = 0.0
        self._gone_s: float | None = None
        self._kill_s: float | None = None
        self._beat = 0.0

    @property
    def request(self) -> tuple[int, int, float]:
        """What is asked of Slurm: hosts, devices on each, and seconds."""
        entry = self.task.entry
        return entry.nodes, entry.devices // entry.nodes, self._cluster.limit_s(self.task.timeout_s)

    def cell(self, driver: Driver) -> SlurmCell:
        """What the job carries out."""
        hosts, _, limit_s = self.request
        return SlurmCell(self.task.for_host(Share()), driver, self.exchange, hosts, limit_s)

    def advance(self) -> None:
        """Pass on what has arrived, and notice what has ended."""
        if self.over:
            return
        for event in self._events():
            self._begun = True
            self._on_event(event)
        self._on_event({"kind": "tick"})
        self._hear_signals()
        if not self.over and self.job is not None:
            self._look()

    def result(self) -> Measured:
        """What was measured. Raises Lost, Refused or NotBegun."""
        if isinstance(self._ended, Exception):
            raise self._ended
        run_id = self.exchange.folder.name
        log = self.task.attempt.log.with_name(f"{run_id}.log")
        measured = self._ended or worst(self._outcomes, log)
        named = {"run_id": run_id, "log": log}
        measured.facts["attempt"] = measured.facts.get("attempt", {}) | named
        cuts = self.exchange.found("cut-*")
        for number, cut in enumerate(cuts):
            cut.facts["attempt"] = cut.facts.get("attempt", {}) | {"run_id": f"{run_id}.{number}"}
        measured.facts["cut_short"] = cuts
        return measured

    def close(self) -> None:
        """End a run that is not over."""
        if not self.over:
            self._end(NotBegun("the sweep ended"))

    def _end(self, how: Measured | Exception | None) -> None:
        """The run is over. Its outcomes say how it ended; if `how` does, a job that still runs is cancelled."""
        self.over, self._ended = True, how
        if self.job is None:
            self._cluster.withdraw(self)
        elif how is not None:
            self.job.cancel(check=False)
        self._cluster.finished(self.exchange)

    def _events(self) -> list[Event]:
        """The messages since the last call."""
        try:
            with open(self.exchange.folder / "events.jsonl", "rb") as file:
                file.seek(self._read_bytes)
                whole, newline, _ = file.read().rpartition(b"\n")
        except OSError:
            return []
        self._read_bytes += len(whole) + len(newline)
        return [json.loads(line) for line in whole.splitlines()]

    def _hear_signals(self) -> None:
        interrupts = self._interrupts
        if interrupts.count > self._signals_told:
            self._signals_told = interrupts.count
            self._on_event({"kind": "stopping" if interrupts.stopping else "finishing"})
            self.exchange.set_count(interrupts.count)
            if not self._begun:
                self._end(NotBegun("stopped before it began"))
            elif interrupts.count > interrupts.patience + 1:
                self._kill_s = time.monotonic()
            elif interrupts.stopping:
                self._kill_s = time.monotonic() + GRACE_S
        if not self.over and self._kill_s is not None and time.monotonic() >= self._kill_s:
            self._end(Measured("interrupted", "stopped by the user"))

    def _look(self) -> None:
        """Notice what the run has left, or that it leaves nothing more."""
        hosts = self.task.entry.nodes
        found = {at: one for at in range(hosts) if (one := self.exchange.find(f"outcome-{at}")) is not None}
        if len(found) == hosts or (0 in found and found[0].measured.status == "ok"):
            self._outcomes = found
            self._end(None)
        elif time.monotonic() >= self._next_ask_s:
            self._next_ask_s = time.monotonic() + ASK_EVERY_S
            if self._is_alive():
                self._gone_s = None
            elif self._gone_s is None:
                self._gone_s = time.monotonic()
            elif time.monotonic() - self._gone_s > FILES_S:
                self._judge(found)

    def _is_alive(self) -> bool:
        """Whether Slurm has not ended the job, or the run has shown since the last look that it is alive."""
        try:
            beat = (self.exchange.folder / "events.jsonl").stat().st_mtime
        except OSError:
            beat = 0.0
        has_beaten, self._beat = beat != self._beat, beat
        return has_beaten or not self.job.done()

    def _judge(self, found: dict[int, HostReport]) -> None:
        """The job has ended, and not all of it has said how."""
        if found:
            self._outcomes = found
            self._end(None)
            return
        state = (self.job.state.upper().split() or ["UNKNOWN"])[0].rstrip("+")
        told = f"Slurm's job {self.job.job_id} ended as {state}, and the run left no word"
        self._end(Measured(STATES[state], told) if state in STATES else Lost(told))


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and 0 < value < math.inf

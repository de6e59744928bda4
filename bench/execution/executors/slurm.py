"""Runs as jobs of Slurm's arrays, by submitit; results must be on a file system that all hosts see.

Jobs outlive the driver. The next sweep takes over what they have done and what they still do, and begins nothing twice.
"""

from __future__ import annotations

import math
import secrets
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError

from bench.errors import MissingError, UsageError
from bench.execution.executors.executor import Assignment, OnEvent, Place
from bench.execution.executors.on_host import Driver
from bench.execution.executors.slurm_cell import SIGNAL_DELAY_S, OffCheck
from bench.execution.executors.slurm_exchange import Exchange
from bench.execution.executors.slurm_follower import SlurmFollower
from bench.execution.following import RunFollower
from bench.execution.host_check import HostCheck
from bench.execution.interrupts import Interrupts
from bench.host.share import Share
from bench.runs.store import Store
from bench.spec.sweep_plan import PlannedRun
from bench.text.units import counted

# Jobs of one array; the usual limit of Slurm is 1001.
MOST_JOBS = 1000
# The time asked of Slurm for a run without a limit of its own, and beyond that of one that has.
USUAL_MIN = 240
MARGIN_S = 600.0
# How often the files of a run are looked at, and how many runs a second at most: the file system is not ours alone.
LOOK_EVERY_S = 0.5
LOOKS_PER_S = 100
# When jobs are offered again that Slurm did not take while others of this command were there.
OFFER_AGAIN_S = 60.0
# Every preemption may be followed by another one; submitit counts those soon after the start as time-outs.
MOST_REQUEUES = 1000
CLUSTERS = ("slurm", "local")
JOBS = {"slurm": submitit.SlurmJob, "local": submitit.LocalJob}
# What submitit calls alike for all clusters; everything else is Slurm's own.
GENERIC = ("mem_gb", "cpus_per_task", "stderr_to_stdout")
SETS_ITSELF = "bench sets this itself, by the cells and --jobs"
OURS = {
    **dict.fromkeys(("nodes", "tasks_per_node", "ntasks_per_node", "gpus_per_node", "num_gpus", "name"), SETS_ITSELF),
    **dict.fromkeys(("job_name", "array_parallelism", "signal_delay_s", "map_count"), SETS_ITSELF),
    "time": "bench has to know it; give timeout_min=MINUTES",
}

Request = tuple[int, int, int, float]


class Slurm:
    """The executor of a Slurm cluster, or with `cluster=local` of submitit's stand-in on this machine."""

    def __init__(
        self,
        results: Path,
        jobs: int | None,
        driver: Driver,
        options: Mapping[str, Any],
        store: Store,
        say: Callable[[str], None],
    ) -> None:
        """`options` are those of `--slurm`; at most `jobs` are submitted at once, None as many as an array has.

        `say` gets notes for the user. Raises MissingError without Slurm, UsageError for an unknown option.
        """
        self.driver, self._jobs, self._store, self._say = driver, jobs, store, say
        self._options = dict(options)
        self._limit_min = self._options.pop("timeout_min", None)
        if self._limit_min is not None and not _is_positive(self._limit_min):
            raise UsageError(f"--slurm timeout_min={self._limit_min}: give a number of minutes, more than 0")
        self._cluster = str(self._options.pop("cluster", "slurm"))
        if self._cluster not in CLUSTERS:
            raise UsageError(f"--slurm cluster={self._cluster}: it is {' or '.join(CLUSTERS)}")
        for name, why in OURS.items():
            if name in self._options:
                raise UsageError(f"--slurm {name}: {why}")
        if self._cluster == "slurm" and shutil.which("sbatch") is None:
            raise MissingError(
                "--executor slurm: there is no sbatch here; call it on a login node of the cluster, or try it on this "
                "machine with --slurm cluster=local"
            )
        self._folder = (results / "slurm").absolute()
        # How jobs check their hosts; None if they do not.
        self.off: OffCheck | None = None
        self._queue: list[SlurmFollower] = []
        self._offer_s = 0.0
        self._recorded: list[Path] = []
        self._running = 0
        self._open: dict[tuple[str, int], Exchange] | None = None
        # Hosts that are off, by their names for Slurm.
        self._left_out: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: object, *_: object) -> None:
        if self.off is not None:
            self._recorded += self._folder.glob(f"reference-{self.off.token}-*")
        if error is None:  # else the last run may not be recorded
            self._forget_recorded()

    @property
    def slots(self) -> int:
        return self._jobs or 1

    @property
    def look_every_s(self) -> float:
        """How often a run's files are looked at."""
        return max(LOOK_EVERY_S, self._running / LOOKS_PER_S)

    def check_hosts(self, check: HostCheck) -> None:
        """Let each host time its reference kernels before its first run, and judge them."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self.off = OffCheck(check, secrets.token_hex(4), Exchange(self._folder))

    def leave_out(self, host: str, why: str) -> None:
        """Ask Slurm for other hosts than this one from now on."""
        if host not in self._left_out:
            self._left_out.add(host)
            self._say(f"Note: host {host} gets no run from now on: {why}")

    def take(self, entry: PlannedRun) -> Place | None:  # noqa: ARG002 - Slurm knows what fits
        # The stand-in has no queue.
        most = self._jobs or (MOST_JOBS if self._cluster == "slurm" else 1)
        if self._running >= most:
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
            follower.job = self._job_of(known)
            return follower
        exchange = Exchange(self._folder / task.attempt.run_id)
        exchange.folder.mkdir(parents=True)
        exchange.keep("entry", (task.entry.key, self.driver.sources_sha256, self._cluster))
        follower = SlurmFollower(self, task, exchange, on_event, interrupts)
        self._queue.append(follower)
        return follower

    def wait(self, followers: Sequence[RunFollower], timeout_s: float) -> None:  # noqa: ARG002 - files tell nobody
        self._forget_recorded()
        if self._queue and time.monotonic() >= self._offer_s:
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

    def limit_s(self, timeout_s: float | None) -> float:
        """The time to ask of Slurm for a run that has this limit of its own."""
        if self._limit_min is not None:
            return float(self._limit_min) * 60
        return USUAL_MIN * 60 if timeout_s is None else timeout_s + MARGIN_S

    def _forget_recorded(self) -> None:
        for path in self._recorded:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        self._recorded.clear()

    def _job_of(self, exchange: Exchange) -> Any:
        return JOBS[self._cluster](self._folder, (exchange.folder / "job").read_text())

    def _unfinished(self) -> dict[tuple[str, int], Exchange]:
        """Runs of an earlier driver that it did not record, by cell and seed.

        Those that it did record are removed, and so are those that other sources have queued: they would be refused.
        """
        if self._open is None:
            self._open, stale = {}, 0
            for exchange, key, sources in self._left_behind():
                if sources == self.driver.sources_sha256 or exchange.has_begun:
                    self._open[key] = exchange
                else:
                    stale += 1
                    self._job_of(exchange).cancel(check=False)
                    self.finished(exchange)
            if stale:
                jobs = counted(stale, "queued job")
                self._say(f"Note: {jobs} had other sources of bench; new ones take their place")
        return self._open

    def _left_behind(self) -> list[tuple[Exchange, tuple[str, int], str]]:
        """The runs that drivers on this cluster have left without a record, each with its key and its sources."""
        found = []
        for folder in sorted(self._folder.glob("*/")):
            entry = Exchange(folder).find("entry")
            if entry is None or not (folder / "job").exists():  # it was never submitted
                self._recorded.append(folder)
            elif entry[2] == self._cluster:
                found.append((Exchange(folder), entry[0], entry[1]))
        cells = {cell for _, (cell, _), _ in found}
        recorded = {run.run_id for run in self._store.read(cells)} if found else set()
        self._recorded += [exchange.folder for exchange, *_ in found if exchange.folder.name in recorded]
        return [one for one in found if one[0].folder.name not in recorded]

    def _submit(self) -> None:
        """Submit what is queued, an array for each kind of request.

        Raises MissingError if Slurm does not take it and no job of this command is there.
        """
        alike: dict[Request, list[SlurmFollower]] = defaultdict(list)
        for follower in self._queue:
            alike[follower.request].append(follower)
        for request, followers in alike.items():
            executor = self._executor(request, followers[0].task.device == "cuda")
            try:
                jobs = executor.submit_array([one.cell() for one in followers])
            except (FailedJobError, FailedSubmissionError, subprocess.CalledProcessError) as error:
                self._offer_again(str(error).strip().splitlines()[-1])
                return
            for follower, job in zip(followers, jobs, strict=True):
                follower.job = job
                (follower.exchange.folder / "job").write_text(job.job_id)
                self._queue.remove(follower)

    def _offer_again(self, why: str) -> None:
        """Keep what Slurm did not take for later, when some of the jobs that it has are done."""
        refused = (
            f"Slurm did not take {counted(len(self._queue), 'job')}: {why}; if there is a limit on jobs, --jobs N "
            "submits N at once"
        )
        if self._running <= len(self._queue):
            raise MissingError(refused)
        self._offer_s = time.monotonic() + OFFER_AGAIN_S
        self._say(f"Note: {refused}; they are offered again in {OFFER_AGAIN_S:.0f} s")

    def _executor(self, request: Request, on_gpus: bool) -> Any:
        hosts, devices, cpus, limit_s = request
        is_local = self._cluster == "local"
        count = {f"{self._cluster}_max_num_timeout": MOST_REQUEUES}
        executor = submitit.AutoExecutor(folder=self._folder, cluster=self._cluster, **count)
        named = {name if name in GENERIC else f"slurm_{name}": value for name, value in self._options.items()}
        if self._left_out:
            asked = str(named.get("slurm_exclude") or "")
            named["slurm_exclude"] = ",".join(filter(None, (asked, *sorted(self._left_out))))
        try:
            executor.update_parameters(
                name="bench",
                timeout_min=math.ceil(limit_s / 60),
                # The stand-in has one host, and each of its tasks stands for one.
                nodes=1 if is_local else hosts,
                tasks_per_node=hosts if is_local else 1,
                gpus_per_node=devices if on_gpus else None,
                cpus_per_task=named.pop("cpus_per_task", cpus),
                slurm_array_parallelism=self._jobs or MOST_JOBS,
                slurm_signal_delay_s=SIGNAL_DELAY_S,
                **named,
            )
        except (NameError, AssertionError, ValueError) as error:
            raise UsageError(f"--slurm: {str(error).splitlines()[0]}") from None
        return executor


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and 0 < value < math.inf

"""What a host of a cluster does for a sweep that was started elsewhere: say what it is, and carry out runs.

A run here is what it is on the machine of its own user: a worker process of its own, with the same limits and statuses.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from bench.errors import BenchError, MissingError
from bench.execution import imports, scratch
from bench.execution.device_pool import usable_cores
from bench.execution.executors.executor import Assignment, OnEvent
from bench.execution.executors.host_report import HostReport, end_of, pictures_in
from bench.execution.executors.local import Starts, follow
from bench.execution.following import follow_to_end
from bench.execution.host_check import measured_apart
from bench.execution.interrupts import Interrupts
from bench.execution.measured import Measured, Refused
from bench.execution.runner import TICK_S
from bench.files import user_cache
from bench.host.fingerprint import fingerprint
from bench.host.host_key import own_salt
from bench.host.provenance import Sources
from bench.pipelines.datasets import load_dataset, locate
from bench.pipelines.errors import PipelineError
from bench.profiling.host_speed import reference_kernels
from bench.runs.slow_hosts import Reference
from bench.spec.host_choice import HostChoice

# Less than a run needs for temporary files.
PROBE_BYTES = 1 << 20
LOG = "run.log"
# How often what a run says is passed on, and Ctrl-C asked for.
RELAY_S = 0.5
# Set by engines for their own tasks; a run has what its driver has.
SETTINGS = ("OMP_NUM_THREADS",)


@dataclass(frozen=True)
class Driver:
    """The process that was called by the user, as far as its hosts have to be like it."""

    sources_sha256: str
    folder: Path
    environment: Mapping[str, str | None]
    data_dir: Path | None = None
    # Where its runs may be made, and what its records call hosts by.
    choice: HostChoice = field(default_factory=HostChoice)
    salt: str | None = None

    @classmethod
    def here(cls, data_dir: Path | None = None, choice: HostChoice = HostChoice()) -> Driver:
        environment = {name: os.environ.get(name) for name in (*SETTINGS, "BENCH_DATA")}
        salt = None
        with suppress(OSError, RuntimeError):  # no place to keep one
            salt = own_salt()
        return cls(Sources.now().sha256, Path.cwd(), environment, data_dir and data_dir.absolute(), choice, salt)


@dataclass(frozen=True)
class HostFacts:
    """What a host says of itself. Nodes with the same `boot` are one machine. `unfit` says why it can carry out nothing
    for this driver."""

    machine: dict[str, Any]
    boot: str
    cores: tuple[int, ...]
    unfit: str | None = None


def describe(driver: Driver) -> HostFacts:
    """This host. Engines hide devices from a task that asks for none, so all are shown to it first."""
    with _settings_of(driver, hidden=("CUDA_VISIBLE_DEVICES",)):
        machine = fingerprint(driver.salt)
        unfit = _unfit(driver) or driver.choice.refusal(machine)
        return HostFacts(machine, _boot(), tuple(usable_cores()), unfit)


def time_host(driver: Driver, device: str) -> Reference:
    """The times of this host's reference kernels; none if they have not ended in time."""
    with _settings_of(driver):
        return measured_apart(reference_kernels, device) or {}


def carry_out(
    task: Assignment, driver: Driver, tell: OnEvent, count: Callable[[], int], folder: Path | None = None
) -> HostReport:
    """Carry out a run on this host, and return how it ended.

    `tell` gets its messages; `count` is how often the user has pressed Ctrl-C. Its log is `LOG` in the `folder`, which
    is removed. Raises nothing that a run can cause.
    """
    outcome = HostReport(Measured())
    _keep_to_own_code(driver)
    folder = folder or scratch.for_one_run()
    try:
        with _settings_of(driver):
            here = _placed(task, driver, folder)
            if here.job is not None:
                _fetch(here.job.recipe.data.name, here.job.data_dir, tell)
            interrupts = Interrupts(patience=1)
            relay = _Relay(tell, count, interrupts)
            with _slurms_signal_kept():
                if here.job is not None:
                    _starts().before(task.entry.seed, is_idle=True)
                follower = follow(here, relay, interrupts)
            outcome = replace(outcome, measured=follow_to_end(follower, TICK_S))
    except BenchError as error:
        outcome = replace(outcome, refusal=(str(error), error.exit_code))
    except PipelineError as error:
        outcome = replace(outcome, refusal=(str(error), 3))
    outcome = replace(outcome, log=end_of(folder / LOG), pictures=pictures_in(_pictures_of(task, folder)))
    scratch.remove(folder)
    return outcome


def _placed(task: Assignment, driver: Driver, folder: Path) -> Assignment:
    """The task as this host carries it out, with its files in `folder`: its clock, the folders that it has, its GPUs.

    Raises Refused if the user's own code or data is not what the driver has seen.
    """
    log, pictures = folder / LOG, _pictures_of(task, folder)
    attempt = replace(task.attempt, log=log)
    share = task.place.share
    # Ray and Slurm choose the GPUs of a task, and tell it which in this way.
    if task.device == "cuda" and (given := os.environ.get("CUDA_VISIBLE_DEVICES")):
        share = replace(share, gpus=tuple(given.split(",")))
    task = replace(task, attempt=attempt, place=replace(task.place, share=share))
    if attempt.recipe is not None and (now := attempt.recipe.own_things(attempt.measure)) != list(attempt.own):
        known = [thing["path"] for thing in attempt.own if thing not in now]
        raise Refused(
            f"on this host {', '.join(known)} is not what it is where the sweep was started; "
            "use a folder that all hosts share, or copy the files again",
            3,
        )
    if task.job is None:
        return task
    job = replace(
        task.job,
        log=log,
        origin_s=time.monotonic(),
        cache=user_cache() / "loaders",
        pictures=pictures,
        data_dir=_data_dir(driver),
        share=share,
    )
    return replace(task, job=job)


def _pictures_of(task: Assignment, folder: Path) -> Path:
    """Where the run keeps its pictures; a record names them by the last two folders."""
    return folder / task.attempt.pictures.parent.name / task.attempt.pictures.name


def _data_dir(driver: Driver) -> Path:
    """The first of the driver's data folders that this host sees, else one of this user's own here."""
    named = (driver.data_dir, driver.environment.get("BENCH_DATA"), driver.folder / "data")
    shared = (Path(folder) for folder in named if folder is not None and Path(folder).is_dir())
    return next(shared, user_cache() / "data")


def _fetch(name: str, data_dir: Path | None, tell: OnEvent) -> None:
    """Fetch and verify a data set that is not here, once for all runs of this host, before anything is timed.

    Raises PipelineError.
    """
    if locate(name, data_dir) is None:
        tell({"kind": "phase", "name": f"fetching {name}", "spans": []})
        load_dataset(name, data_dir=data_dir)


class _Relay:
    """Passes a run's messages on, and the user's Ctrl-C to its process. Of steps only the last one is passed on."""

    def __init__(self, tell: OnEvent, count: Callable[[], int], interrupts: Interrupts) -> None:
        self._tell, self._count, self._interrupts = tell, count, interrupts
        self._next_s = 0.0
        self._step: dict[str, Any] | None = None

    def __call__(self, event: dict[str, Any]) -> None:
        if event["kind"] == "step":
            self._step = event
        elif event["kind"] not in ("tick", "stopping", "finishing"):
            self._tell(event)
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + RELAY_S
            if self._step is not None:
                self._tell(self._step)
                self._step = None
            self._interrupts.follow(self._count())


@contextmanager
def _slurms_signal_kept() -> Iterator[None]:
    """What is started in the body does not hear the signal with which Slurm announces to all processes of a job that it
    will end; it would end a worker, and means this process alone."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@cache
def _starts() -> Starts:
    """The fork server of this process, which carries out one run after the other."""
    return Starts()


@contextmanager
def _settings_of(driver: Driver, hidden: tuple[str, ...] = ()) -> Iterator[None]:
    """The driver's settings in the environment of this process, and nothing of what is hidden."""
    wanted = {name: driver.environment.get(name) for name in SETTINGS} | dict.fromkeys(hidden)
    before = {name: os.environ.get(name) for name in wanted}
    try:
        _set(wanted)
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _keep_to_own_code(driver: Driver) -> None:
    """Take the driver's folder off the path, where engines put it: a user's `models` there is no module of ours."""
    imports.protect_children()
    named = str(driver.folder)
    sys.path[:] = [folder for folder in sys.path if folder != named or os.path.realpath(folder) == imports.ROOT]


def _unfit(driver: Driver) -> str | None:
    _keep_to_own_code(driver)
    if Sources.now().sha256 != driver.sources_sha256:
        return "it has another version of bench; install there what is installed here"
    if importlib.util.find_spec("torch") is None:
        return "it has no torch; install there what is installed here"
    return _lack_of_room()


def _lack_of_room() -> str | None:
    """Why runs cannot have temporary files on this host, if they cannot."""
    try:
        folder = scratch.for_one_run()
        try:
            (folder / "probe").write_bytes(os.urandom(PROBE_BYTES))  # a compressing file system has room for zeros
        finally:
            scratch.remove(folder)
    except (OSError, MissingError) as error:
        return f"it has no room for temporary files: {error}; make some, or set TMPDIR there"
    return None


def _boot() -> str:
    """Equal for processes of one machine since it started, in whatever container they are."""
    return scratch.prefix_here()

"""What a job of Slurm carries out.

Slurm's own failures look like those of the command, so how a run ended is said in a file of ours, or not at all.
"""

from __future__ import annotations

import math
import os
import signal
import socket
import tempfile
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock

from bench.execution import scratch
from bench.execution.executors.executor import Assignment
from bench.execution.executors.host_report import HostReport, end_of
from bench.execution.executors.on_host import LOG, Driver, carry_out, describe, time_host
from bench.execution.executors.several import meeting_of
from bench.execution.executors.slurm_exchange import START, Exchange
from bench.execution.host_check import HostCheck
from bench.execution.measured import Event, Measured
from bench.runs.run import FINISHED
from bench.runs.slow_hosts import Reference

# Slurm sends its signal this long before the end of the time that was asked for.
SIGNAL_DELAY_S = 60
# It may send it up to a minute earlier; the rest is for the start of Python, before which no time is counted here.
EARLY_S = 90.0
# A run that ends so soon after SIGTERM ends by it. Slurm then ends the job, in a minute or after its `GraceTime`.
SIGTERM_S = 60.0
ENDING_S = 1800.0


@dataclass(frozen=True)
class OffCheck:
    """The check of hosts for the jobs of one command, whose readings are in `exchange` by its `token`."""

    check: HostCheck
    token: str
    exchange: Exchange

    def why(self, machine: dict[str, Any], driver: Driver, device: str) -> str | None:
        """Why this host is off, if it is. Its kernels are timed by the first job here, and never by two at once."""
        name = f"reference-{self.token}"
        with FileLock(Path(tempfile.gettempdir()) / f"bench-reference-{os.getuid()}.lock"):
            reading = self.exchange.find(f"{name}-{machine['host']}")
            if reading is None:
                reading = {key: machine[key] for key in ("id", "host")} | {"reference": time_host(driver, device)}
                self.exchange.keep(f"{name}-{machine['host']}", reading)
        for other in self.exchange.found(f"{name}-*"):
            self.check.known.add(other)
        reference: Reference = reading["reference"]
        return self.check.judge(machine, reference or None)


@dataclass
class SlurmCell:
    """The run of a job. The same job runs it again if Slurm takes its host away.

    `limit_s` is the time that was asked of Slurm. What a preempted run had measured is left as `cut-N`, a row of its
    own; how the run ended, as `outcome-HOST`. `cuts` is how often the run has been cut short with notice.
    """

    task: Assignment
    driver: Driver
    exchange: Exchange
    hosts: int
    limit_s: float
    off: OffCheck | None = None
    cuts: int = 0
    _seen: Measured = field(default_factory=Measured)
    _machine: dict[str, Any] = field(default_factory=dict)
    _folder: Path = field(default_factory=Path)
    _number: int = 0
    _sigterm_s: float = -math.inf
    _began_s: float = 0.0
    _started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> str:
        """The status, which Slurm's own accounts may show."""
        from submitit import JobEnvironment

        here = JobEnvironment()
        index = here.global_rank
        if (known := self.exchange.find("outcome-0")) is not None:  # Slurm has begun a job again that was over
            return str(known.measured.status)
        self.exchange.forget(f"outcome-{index}")
        self._began_s, self._started_at = time.monotonic(), datetime.now(UTC)
        signal.signal(signal.SIGTERM, self._hear_sigterm)
        facts = describe(self.driver)
        self._machine = facts.machine
        if index == 0:
            self._keep_what_was_cut()
            self.exchange.tell(START)
        self._say_where(index)
        outcome = self._outcome(index, here.cluster == "local", facts.unfit)
        if time.monotonic() - self._sigterm_s < SIGTERM_S and outcome.measured.status not in FINISHED:
            time.sleep(ENDING_S)  # Slurm ends the job meanwhile, and may begin it again
            outcome.measured.ended_as("interrupted", "Slurm asked its job to end")
        outcome.measured.facts["node"] = self._machine
        self.exchange.keep(f"outcome-{index}", outcome)
        return outcome.measured.status

    def _say_where(self, index: int) -> None:
        self.exchange.keep(f"host-{index}", (self._machine, self._started_at))

    def _outcome(self, index: int, is_local: bool, unfit: str | None) -> HostReport:
        if unfit is not None:
            return self._unused(unfit)
        if self.off is not None:
            self._tell(index, {"kind": "phase", "name": "timing the host", "spans": []})
            why = self.off.why(self._machine, self.driver, self.task.device)
            self._say_where(index)  # with what was found
            if why is not None and self.off.check.refused:
                return self._unused(f"it is off: {why}")
        return self._carry_out(index, is_local)

    def _unused(self, why: str) -> HostReport:
        """The run has not begun here, and may be carried out by another host."""
        return HostReport(Measured(), unfit=(why, os.environ.get("SLURMD_NODENAME") or socket.gethostname()))

    def _carry_out(self, index: int, is_local: bool) -> HostReport:
        task, exchange = self.task, self.exchange
        if self.hosts > 1 and task.job is not None:
            part = f"{os.environ.get('SLURM_RESTART_COUNT', 0)}-{self.cuts}"
            address = "127.0.0.1" if is_local else socket.gethostname()
            meeting = meeting_of(index, address, partial(exchange.meet, part))
            task = replace(task, job=replace(task.job, meeting=meeting))

        def count() -> int:
            exchange.beat()
            return exchange.count()

        self._folder = scratch.for_one_run()
        return carry_out(task, self.driver, lambda event: self._tell(index, event), count, self._folder)

    def _tell(self, index: int, event: Event) -> None:
        if event["kind"] != "refused":
            self._seen.take(event)
        if index == 0:
            self.exchange.tell(event)

    def _hear_sigterm(self, _number: int, _frame: object) -> None:
        """Slurm sends it to all processes of a job, so that the run ends by it too."""
        self._sigterm_s = time.monotonic()

    def _keep_what_was_cut(self) -> None:
        """Leave what was seen of the run when the job began before, if Slurm then ended it without notice."""
        parts = self.exchange.parts()
        self._number = len(parts)
        if parts and self.exchange.find(f"cut-{len(parts) - 1:03}") is None:
            machine, started_at = self.exchange.find("host-0") or ({}, self._started_at)
            self._cut(parts[-1], len(parts) - 1, machine, started_at, " without notice, and has begun the job again")

    def _cut(self, seen: Measured, number: int, machine: dict[str, Any], started_at: datetime, how: str) -> None:
        seen.facts |= {"node": machine, "attempt": {"started_at": started_at}}
        self.exchange.keep(f"cut-{number:03}", seen.ended_as("interrupted", f"Slurm took its host away{how}"))

    def checkpoint(self) -> Any:
        """Slurm will take the host away: because of the time that was asked for, or because it is needed elsewhere.

        Returns what the same job runs again, None if nothing.
        """
        from submitit.helpers import DelayedSubmission

        seen = self._seen
        if self._left_s() <= SIGNAL_DELAY_S + EARLY_S:
            seen.facts["node"] = self._machine
            minutes = f"the {self.limit_s / 60:g} min asked of Slurm"
            seen.ended_as("timeout", f"not done at the end of {minutes}; its last phase was {seen.phase}")
            log = end_of(self._folder / LOG)
            self.exchange.keep("outcome-0", HostReport(seen, log=log, started_at=self._started_at))
            return None
        self._cut(seen, self._number, self._machine, self._started_at, "; the same job runs it again")
        again = SlurmCell(self.task, self.driver, self.exchange, self.hosts, self.limit_s, self.off, self.cuts + 1)
        return DelayedSubmission(again)

    def _left_s(self) -> float:
        """Seconds until the end of the time that was asked for."""
        if (end_s := os.environ.get("SLURM_JOB_END_TIME")) is not None:
            return float(end_s) - time.time()
        return self.limit_s - (time.monotonic() - self._began_s)

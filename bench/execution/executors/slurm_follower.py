"""One run on a Slurm cluster, as the sweep follows it."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from bench.execution.executors.executor import Assignment, OnEvent
from bench.execution.executors.host_report import HostReport
from bench.execution.executors.on_host import Driver
from bench.execution.executors.several import all_hosts, worst
from bench.execution.executors.slurm_cell import OffCheck, SlurmCell
from bench.execution.executors.slurm_exchange import EVENTS, START, Exchange
from bench.execution.interrupts import Interrupts
from bench.execution.measured import Event, Lost, Measured, NotBegun, Refused
from bench.host.share import Share
from bench.runs.run import Status

# How often Slurm is asked about a job, and how long a file of a job that has ended may take to be seen here: network
# file systems remember for up to a minute that there was none.
ASK_EVERY_S = 5.0
FILES_S = 65.0
# The time from asking a run to end until its job is cancelled.
GRACE_S = 30.0
# What Slurm says of a job that it ended itself, as a status.
STATES: dict[str, Status] = {
    "OUT_OF_MEMORY": "oom", "TIMEOUT": "timeout", "DEADLINE": "timeout", "CANCELLED": "interrupted",
}  # fmt: skip
# It may begin such a job again, in which case this state soon changes.
PREEMPTED = "PREEMPTED"
MOST_WORDS = 200


class JobKeeper(Protocol):
    """What a follower asks the executor of its job for, and tells it."""

    driver: Driver
    # How jobs check their hosts; None if they do not.
    off: OffCheck | None

    @property
    def look_every_s(self) -> float:
        """How often a run's files are looked at."""

    def limit_s(self, timeout_s: float | None) -> float:
        """The time to ask of Slurm for a run that has this limit of its own."""

    def leave_out(self, host: str, why: str) -> None:
        """Ask Slurm for other hosts than this one from now on."""

    def withdraw(self, follower: SlurmFollower) -> None:
        """Take back a run that was not submitted yet."""

    def finished(self, exchange: Exchange) -> None:
        """What the run and its job have left is known, and not needed once it is recorded."""


class SlurmFollower:
    """Follows one job by its files, and asks Slurm only whether a job that leaves none is still there."""

    sources: tuple[Any, ...] = ()

    def __init__(
        self, keeper: JobKeeper, task: Assignment, exchange: Exchange, on_event: OnEvent, interrupts: Interrupts
    ) -> None:
        self.over = False
        self.task, self.exchange = task, exchange
        # None until it is submitted.
        self.job: Any = None
        self._keeper, self._on_event, self._interrupts = keeper, on_event, interrupts
        self._read_bytes = 0
        self._begun = False
        # What the job's messages say since it began last, for the case that it leaves nothing else.
        self._seen = Measured()
        self._signals_told = interrupts.count
        self._outcomes: dict[int, HostReport] = {}
        self._ended: Measured | Exception | None = None
        self._next_look_s = self._next_ask_s = 0.0
        self._gone_s: float | None = None
        self._kill_s: float | None = None
        self._beat = 0.0

    @property
    def request(self) -> tuple[int, int, int, float]:
        """What is asked of Slurm: hosts, devices and CPUs on each, and seconds."""
        entry, job = self.task.entry, self.task.job
        devices = entry.devices // entry.nodes
        threads = job.recipe.threads if job is not None else None
        cpus = (threads or 1) * devices
        return entry.nodes, devices, cpus, self._keeper.limit_s(self.task.timeout_s)

    def cell(self) -> SlurmCell:
        """What the job carries out."""
        hosts, _, _, limit_s = self.request
        keeper = self._keeper
        return SlurmCell(self.task.for_host(Share()), keeper.driver, self.exchange, hosts, limit_s, keeper.off)

    def advance(self) -> None:
        """Pass on what has arrived, and notice what has ended."""
        if self.over:
            return
        if self._interrupts.count > self._signals_told:
            self._pass_on()
            self._hear_signals()
        if not self.over and self._kill_s is not None and time.monotonic() >= self._kill_s:
            self._end(self._as("interrupted", "stopped by the user"))
        if not self.over and time.monotonic() >= self._next_look_s:
            self._next_look_s = time.monotonic() + self._keeper.look_every_s
            self._pass_on()
            if self._begun:  # there may be a thousand that wait
                self._on_event({"kind": "tick"})
            if self.job is not None:
                self._look()

    def result(self) -> Measured:
        """What was measured. Raises Lost, Refused or NotBegun."""
        run_id = self.exchange.folder.name
        log = self.task.attempt.log.with_name(f"{run_id}.log")
        try:
            measured = self._measured(log)
        except Refused as refusal:
            refusal.facts = self._named(refusal.facts, run_id, log)
            raise
        except Lost as loss:
            loss.seen.facts = self._named(loss.seen.facts, run_id, log)
            raise
        measured.facts = self._named(measured.facts, run_id, log)
        return measured

    def close(self) -> None:
        """End a run that is not over."""
        if not self.over:
            self._end(NotBegun("the sweep ended"))

    def _measured(self, log: Path) -> Measured:
        if isinstance(self._ended, Exception):
            raise self._ended
        return self._ended or worst(self._outcomes, log)

    def _named(self, facts: dict[str, Any], run_id: str, log: Path) -> dict[str, Any]:
        """The facts with the run's name, where it was, and what of it was cut short before."""
        cuts = self.exchange.found("cut-*")
        for number, cut in enumerate(cuts):
            cut.facts["attempt"] = cut.facts.get("attempt", {}) | {"run_id": f"{run_id}.{number}"}
        hosts = [machine for machine, _ in self.exchange.found("host-*")]
        node = {"node": all_hosts(hosts)} if hosts else {}
        named = {"attempt": facts.get("attempt", {}) | {"run_id": run_id, "log": log}, "cut_short": cuts}
        return facts | node | named

    def _end(self, how: Measured | Exception | None) -> None:
        """The run is over. Its outcomes say how it ended; if `how` does, a job that still runs is cancelled."""
        self.over, self._ended = True, how
        if self.job is None:
            self._keeper.withdraw(self)
        elif how is not None:
            self.job.cancel(check=False)
        self._keeper.finished(self.exchange)

    def _pass_on(self) -> None:
        events, self._read_bytes = self.exchange.told(self._read_bytes)
        for event in events:
            self._begun = True
            self._see(event)
            self._on_event(event)

    def _see(self, event: Event) -> None:
        if event == START:
            self._seen = Measured()
        if event["kind"] != "refused":
            self._seen.take(event)

    def _as(self, status: Status, reason: str) -> Measured:
        """What was seen of the run, with its end, which it could not tell."""
        return self._seen.ended_as(status, reason)

    def _hear_signals(self) -> None:
        interrupts = self._interrupts
        self._signals_told = interrupts.count
        self._on_event({"kind": "stopping" if interrupts.stopping else "finishing"})
        self.exchange.set_count(interrupts.count)
        if not self._begun:
            self._end(NotBegun("stopped before it began"))
        elif interrupts.count > interrupts.patience + 1:
            self._kill_s = time.monotonic()
        elif interrupts.stopping:
            self._kill_s = time.monotonic() + GRACE_S

    def _look(self) -> None:
        """Notice what the run has left, or that it leaves nothing more."""
        hosts = self.task.entry.nodes
        found = {at: one for at in range(hosts) if (one := self.exchange.find(f"outcome-{at}")) is not None}
        unfit = next((one.unfit for one in found.values() if one.unfit is not None), None)
        if unfit is not None:
            why, name = unfit
            self._keeper.leave_out(name, why)
            self._end(Lost(f"its host was not used: {why}", self._seen))
        elif len(found) == hosts or (0 in found and found[0].measured.status == "ok"):
            self._outcomes = found
            self._end(None)
        elif any(one.refusal is not None for one in found.values()):
            self._outcomes = found
            self._end(None)
            self.job.cancel(check=False)  # the other hosts would wait for this one
        elif time.monotonic() >= self._next_ask_s:
            self._next_ask_s = time.monotonic() + ASK_EVERY_S
            self._ask(found)

    def _ask(self, found: dict[int, HostReport]) -> None:
        """Ask Slurm whether the job is still there."""
        if self._is_alive():
            self._gone_s = None
        elif self._gone_s is None:
            self._gone_s = time.monotonic()
        elif time.monotonic() - self._gone_s > FILES_S:
            self.job.get_info(mode="force")  # else what Slurm said up to ten minutes ago
            if self._is_alive():
                self._gone_s = None
            else:
                self._judge(found)

    def _is_alive(self) -> bool:
        """Whether Slurm has not ended the job, or the run has shown since the last look that it is alive."""
        try:
            beat = (self.exchange.folder / EVENTS).stat().st_mtime
        except OSError:
            beat = 0.0
        has_beaten, self._beat = beat != self._beat, beat
        return has_beaten or not (self.job.done() or self._state() == PREEMPTED)

    def _state(self) -> str:
        words = str(self.job.state).upper().split()
        return words[0].rstrip("+") if words else "UNKNOWN"

    def _judge(self, found: dict[int, HostReport]) -> None:
        """The job has ended, and not all of it has said how."""
        if found:
            self._outcomes = found
            self._end(None)
            return
        state = self._state()
        told = f"Slurm's job {self.job.job_id} ended as {state}, and the run left no word{self._last_words()}"
        seen = self._as(STATES.get(state, "interrupted"), told)
        self._end(seen if state in STATES else Lost(told, seen))

    def _last_words(self) -> str:
        """The end of the job's own output, which says more where bench could not even be started."""
        lines: list[str] = []
        with suppress(OSError):
            lines = (self.job.stderr() or "").strip().splitlines()
        return f"; its output ends with: {lines[-1][:MOST_WORDS]}" if lines else ""

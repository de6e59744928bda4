"""A script's run, followed from outside: started, read, timed, and ended with all its processes."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.execution import scratch
from bench.execution.event_source import EventSource
from bench.execution.following import follow_to_end
from bench.execution.interrupts import Interrupts
from bench.execution.leftovers import Leftovers
from bench.execution.measured import Measured
from bench.execution.packages import CommandVersions
from bench.execution.pauses import Pauses
from bench.execution.script_output import Lines, ScriptLog, read_available
from bench.execution.script_process import ScriptProcess, environment_of, folder_of
from bench.execution.script_verdict import Ending, verdict
from bench.execution.time_limit import TimeLimit
from bench.host import contention
from bench.host.energy import EnergyMeter, visible_counter
from bench.host.fingerprint import memory_bytes_usable, oom_kills
from bench.host.share import Share
from bench.measures.script_account import ScriptAccount
from bench.measures.script_events import Edge, Epoch
from bench.measures.script_timeline import as_spans
from bench.runs.run import FINISHED
from bench.spec.command import Command
from bench.spec.epoch_pattern import EpochPattern

TICK_S = 0.05
# How often the pipe is read in a row before anything else is checked.
MOST_READS = 16
TELL_LINE_EVERY_S = 0.25

OnEvent = Callable[[dict[str, Any]], None]


class ScriptFollower:
    """One run of a command, started when this is made; its interface is that of `bench.execution.runner.Follower`.

    The clock goes from the start of the command to its exit; what it leaves running then (`Leftovers`) is off it.
    """

    def __init__(
        self,
        command: Command,
        seed: int,
        root: Path,
        log: Path,
        on_event: OnEvent,
        interrupts: Interrupts,
        device: str = "cpu",
        share: Share = Share(),
        without: Collection[str] = (),
    ) -> None:
        """Raises `UsageError` if the command cannot be started; then there is nothing to record."""
        self.over = False
        self._command, self._interrupts, self._on_event = command, interrupts, on_event
        self._scratch = scratch.for_one_run()
        self._events = EventSource(self._scratch)
        self._lines, self._log = Lines(), ScriptLog(log)
        self._measured = Measured()
        self._signals_told = interrupts.count
        self._neighbours = share.neighbours
        self._leftovers: Leftovers | None = None
        self._versions: CommandVersions | None = None
        self._next_line_told_s = 0.0
        self._output_open = True
        self._energy = EnergyMeter(visible_counter(device))
        oom_before = oom_kills()
        self._oom_kills: Callable[[], int] = lambda: oom_kills() - oom_before
        try:
            folder = folder_of(command, root)
            env = environment_of(command, seed, without) | {"BENCH_EVENTS": str(self._events.path)} | share.environment
            self._env = env
            self.process = ScriptProcess(command.argv_of(seed), folder, env)
            self.process.asked = lambda: interrupts.last or signal.SIGTERM
            with share.of_children():
                interrupts.start(self.process)
        except UsageError:
            self._close_files()
            raise
        self._pauses = Pauses(self.process.pid, interrupts)
        self._limit = TimeLimit(command.timeout_s)
        pattern = EpochPattern(command.epoch_pattern) if command.epoch_pattern is not None else None
        self._account = ScriptAccount(pattern, self.process.began_s)
        self._sampler = contention.Sampler(self.process.pid, members=self.process.tree.members_lately)
        self._readings = {0.0: self._sampler.read()}
        self._on_event({"kind": "phase", "name": self._account.timeline.phase, "spans": []})

    @property
    def sources(self) -> list[Any]:
        """What `multiprocessing.connection.wait` should look at."""
        if self.over:
            return []
        output = [self.process.output] if self._output_open else []
        return [*output, *self._events.sources, *self.process.exit_source]

    def advance(self) -> None:
        """Read what has arrived, and notice what has ended."""
        if self.over:
            return
        self._limit.enforce(self.process)
        self._pauses.look()
        self._hear()
        if self.process.ended_s is None and self.process.has_ended():
            self._hear()  # its last words
            self._finish()
            self._leftovers = Leftovers(self.process)
            self._versions = CommandVersions(self.process.argv, self.process.cwd, self._env)
        elif self.process.ended_s is None:
            self.process.tree.watch()
            self._energy.look()
        self._on_event({"kind": "tick"})
        if self._interrupts.count > self._signals_told:
            self._signals_told = self._interrupts.count
            self._on_event({"kind": "stopping" if self._interrupts.stopping else "finishing"})
            if self._interrupts.stopping:
                self._limit.end_soon()
        if self._leftovers is not None and self._versions is not None:
            hurry = self._interrupts.stopping or self._limit.passed
            if all([self._leftovers.are_gone(hurry), self._versions.are_known(hurry)]):
                self._end()

    def result(self) -> Measured:
        """What was measured, all of it once it is `over`."""
        return self._measured

    def close(self) -> None:
        """End a run that is not over."""
        if not self.over:
            self.process.kill()
            while not self.process.has_ended():
                time.sleep(TICK_S)
            self._finish()
            self._end()

    def _hear(self) -> None:
        """Read output and events, each with the moment of its arrival."""
        for _ in range(MOST_READS):
            said, events = read_available(self.process.output) if self._output_open else b"", self._events.read()
            at_s = min(time.monotonic(), self.process.ended_s or float("inf"))
            if said is None:
                self._output_open, said = False, b""
            if events and self._leftovers is None:  # what outlives the command is not on its account
                self._take_events(events, at_s)
            if said:
                self._log.write(said)
                lines = self._lines.feed(said)
                self._take_lines(lines if self._leftovers is None else [], at_s)
            if not said and not events:
                break

    def _take_lines(self, lines: list[str], at_s: float) -> None:
        if not lines:
            return
        is_epoch = self._account.take_lines(lines, at_s)
        if is_epoch or at_s >= self._next_line_told_s:
            self._next_line_told_s = at_s + TELL_LINE_EVERY_S
            self._on_event({"kind": "line", "text": lines[-1]})
        if is_epoch:
            self._read_usage()
            self._tell_epoch()

    def _take_events(self, data: bytes, at_s: float) -> None:
        for event in self._account.take_bytes(data, at_s):
            self._read_usage()
            if isinstance(event, Edge):
                phase = self._account.timeline.phase
                self._energy.enter(phase)
                self._on_event({"kind": "phase", "name": phase, "spans": []})
            elif isinstance(event, Epoch):
                self._tell_epoch()

    def _tell_epoch(self) -> None:
        rows = self._account.timeline.epochs
        if rows:
            told = {"loss": rows[-1].get("loss"), "accuracy": self._account.accuracy, "examples": 0, "steps": 0}
            self._on_event({"kind": "epoch", "epoch": rows[-1]["epoch"], **told})

    def _read_usage(self) -> None:
        self._readings[self._account.timeline.now_s] = self._sampler.read_lately()

    def _usage(self, start_s: float, end_s: float) -> dict[str, Any] | None:
        first, last = self._readings.get(start_s), self._readings.get(end_s)
        if first is None or last is None or first is last:
            return None
        sampler = self._sampler
        return contention.Usage.between(first, last, sampler.cores, sampler.threads).to_dict()

    def _finish(self) -> None:
        """The command has ended: say what was measured."""
        process, account, measured = self.process, self._account, self._measured
        assert process.ended_s is not None
        assert process.exit_code is not None
        self._interrupts.ended(process)
        usage = self._sampler.since_the_first()
        self._take_lines(self._lines.finish(), process.ended_s)
        failure = account.failure
        try:
            pieces = account.finish(process.ended_s)
        except ValueError as error:
            failure, pieces = str(error), account.timeline.finish(process.ended_s - process.began_s)
        self._readings[account.timeline.now_s] = self._sampler.read_lately()
        measured.spans = as_spans(pieces, self._usage)
        measured.epochs = account.timeline.epochs
        wall_s = process.ended_s - process.began_s
        figures = account.metrics(self._command.target)
        measured.metrics = {
            **figures,
            **contention.metrics(usage, measured.spans),
            **self._energy.metrics(figures.get("train_s", 0.0)),
            "peak_host_bytes": process.tree.peak_bytes,
            "exit_code": process.exit_code,
            "wall_s": wall_s,
            "total_s": wall_s,
        }
        measured.facts = {"resolved": self._resolved()}
        measured.status, measured.reason = self._verdict(failure, figures)

    def _resolved(self) -> dict[str, Any]:
        account = self._account
        told = {
            "reported": account.reported,
            "epochs_by": account.told_by,
            "accuracy_scale": account.scale,
            "energy_counter": self._energy.source,
            "neighbours": self._neighbours or None,
        }
        return {name: value for name, value in told.items() if value is not None}

    def _verdict(self, failure: str | None, figures: dict[str, Any]) -> tuple[Any, str | None]:
        process, remarks = self.process, list(self._account.remarks)
        if self._interrupts.stopping:
            return "interrupted", "stopped by the user"
        if self._limit.passed:
            epoch = self._account.timeline.epochs[-1]["epoch"] if self._account.timeline.epochs else None
            where = f"its last epoch was {epoch}" if epoch is not None else "it reported no epoch"
            return "timeout", f"not done after timeout_s = {self._limit.timeout_s:g} seconds; {where}"
        assert process.exit_code is not None
        status, reason = verdict(
            Ending(
                process.exit_code,
                self._lines.last,
                figures.get("accuracy"),
                figures.get("loss"),
                self._command.target,
                self._wants_accuracy(),
                failure,
                process.tree.peak_bytes,
                memory_bytes_usable(),
                self._oom_kills(),
            )
        )
        return status, "; ".join(filter(None, (reason, *remarks, self._log.failure))) or None

    def _wants_accuracy(self) -> str | None:
        """What should have found an accuracy; None if none was asked for."""
        command = self._command
        if command.epoch_pattern is not None:
            return "the pattern" if EpochPattern(command.epoch_pattern).tells_accuracy else None
        return None if command.target is None else "its events, and there is no --epoch-pattern"

    def _end(self) -> None:
        measured = self._measured
        if self._leftovers is not None:
            measured.reason = "; ".join(filter(None, (measured.reason, self._leftovers.remark))) or None
        if self._versions is not None:
            measured.facts["versions"] = self._versions.versions()
        self._pauses.add_to(measured)
        if measured.status not in FINISHED:
            measured.log_tail = self._lines.last
        self._close_files()
        self.process.close()
        self.over = True

    def _close_files(self) -> None:
        self._log.close()
        self._events.close()
        scratch.remove(self._scratch)


def run_script(
    command: Command,
    seed: int,
    root: Path,
    log: Path,
    on_event: OnEvent = lambda _: None,
    interrupts: Interrupts | None = None,
    device: str = "cpu",
    without: Collection[str] = (),
) -> Measured:
    """Run `command` in `root`, a checkout or the user's folder, and follow it to its end, however it ends.

    Its output goes to `log`. `on_event` is told of lines, epochs, spans and signals, as by a worker. Without
    `interrupts` the first Ctrl-C ends the run, which is recorded as interrupted. The command does not inherit the
    variables `without`. To be called in the main thread. Raises `UsageError` for a command that cannot be started.
    """
    if interrupts is None:
        with Interrupts() as interrupts:
            return run_script(command, seed, root, log, on_event, interrupts, device, without)
    follower = ScriptFollower(command, seed, root, log, on_event, interrupts, device, without=without)
    return follow_to_end(follower, TICK_S)

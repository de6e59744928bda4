"""The parent's side of a run: start the worker, follow it, and return one result whatever happened."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import tempfile
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.errors import MissingError, UsageError
from bench.execution import imports, scratch
from bench.execution.following import follow_to_end
from bench.execution.interrupts import Interrupts, ctrl_c_ignored, main_left_alone
from bench.execution.measured import Event, Measured, Refused
from bench.execution.pauses import Pauses
from bench.execution.teller import end_with_parent
from bench.execution.time_limit import TimeLimit
from bench.execution.worker import work
from bench.host.fingerprint import oom_kills
from bench.runs.run import FINISHED
from bench.spec.job import Job

LOG_TAIL_LINES = 20
TICK_S = 0.2
# Modules that a fork server imports once for all its workers.
PRELOADED = ("bench.execution.preloaded",)

NextJob = Callable[[Measured], Job | None]


def warm_up_fork_server() -> None:
    """Let a fork server import what workers need, so that every worker, including the first, starts at once.

    Raises MissingError if it ends before it is ready; its own message is then on stderr.
    """
    imports.protect_children()
    scratch.for_sockets()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    with ctrl_c_ignored():
        forkserver.ensure_running()
    process = context.Process(target=int)  # it does nothing, but only after everything is imported
    try:
        with main_left_alone():
            process.start()
    except (OSError, EOFError):
        raise MissingError(
            "the process that prepares the workers ended while it imported them, as said above; "
            "`bench run` shows whether this environment works at all"
        ) from None
    process.join()


def renew_fork_server() -> None:
    """Replace the fork server, whose workers must all have ended. Raises MissingError.

    Properties that a server fixes for its workers, such as memory layout, then differ between old and new workers.
    """
    end_fork_server()
    warm_up_fork_server()


def end_fork_server() -> None:
    """End the fork server, whose workers must all have ended."""
    # The standard library has no public way to end it.
    server: Any = forkserver._forkserver
    with ctrl_c_ignored():
        if server._forkserver_pid is not None:
            # It ends when a pipe is closed, and processes that were forked here since, such as the workers of a
            # DataLoader, keep that pipe open.
            with suppress(ProcessLookupError):
                os.kill(server._forkserver_pid, signal.SIGKILL)
        server._stop()


class Follower:
    """Starts one worker when it is made, and collects what is known of its run until it has ended.

    Nothing here waits, so that one loop follows several: wait until something of `sources` is ready, `advance`,
    and ask for the `result` when it is `over`. `close` is safe at any moment.

    `on_event` gets every message of the worker, `{"kind": "tick"}` where there is none, and after a Ctrl-C or
    SIGTERM `{"kind": "stopping"}`, or `{"kind": "finishing"}` where `interrupts` has patience. After
    `timeout_s` seconds the worker is ended.

    The worker of a job with `shared_process` waits after a run that leaves it in order: `next_job` is given what was
    measured, and returns the job that follows, which has as much time again. Where it returns none, and after a run
    that ends otherwise, the worker ends, and the `result` is that of the last run.
    """

    def __init__(
        self,
        job: Job,
        on_event: Callable[[Event], None],
        start_method: str,
        timeout_s: float | None,
        interrupts: Interrupts,
        next_job: NextJob = lambda _: None,
    ) -> None:
        imports.protect_children()
        scratch.for_sockets()
        context: Any = multiprocessing.get_context(start_method)
        self.over = False
        self._scratch = scratch.for_one_run()
        self._runs_our_code = False
        self._job, self._interrupts, self._on_event = job, interrupts, _harmless(on_event)
        self._measured = Measured()
        self._refusal: Refused | None = None
        self._silent = False
        self._signals_told = interrupts.count
        self._oom_kills = oom_kills()
        self._limit = TimeLimit(timeout_s)
        if interrupts.stopping:
            self._limit.end_soon()
        self._next_job = next_job
        self._receiver, sender = context.Pipe(duplex=job.shared_process)
        arguments = (job, sender, self._scratch)
        self._process = context.Process(target=_work_while_watched, args=arguments, name=f"run of {job.log.stem}")
        try:
            interrupts.start(self._process)
            self._pauses = Pauses(self._process.pid, interrupts)
        except (OSError, EOFError) as error:
            self._measured.reason = f"the worker could not be started: {error or type(error).__name__}"
            self._receiver.close()
            scratch.remove(self._scratch)
            self.over = True
        finally:
            sender.close()

    @property
    def sources(self) -> list[Any]:
        """Objects to pass to `multiprocessing.connection.wait`."""
        if self.over:
            return []
        return [self._process.sentinel] if self._silent else [self._receiver, self._process.sentinel]

    def advance(self) -> None:
        """Take one message if there is one, and notice what has ended."""
        if self.over:
            return
        self._limit.enforce(self._process)
        self._pauses.look()
        if not self._silent:
            self._hear()
        if self._silent and not self._process.is_alive():
            self._judge()

    def result(self) -> Measured:
        """What was measured; complete once it is `over`. Raises `Refused` if the worker refused the run."""
        if self._refusal is not None:
            raise self._refusal
        return self._measured

    def close(self) -> None:
        """End a worker that is still running."""
        if not self.over:
            self._process.kill()
            self._judge()

    def _hear(self) -> None:
        """Take one message, or tick; notice the end of the messages."""
        is_alive = self._process.is_alive()  # checked before the pipe, so that its last message is not missed
        event: Event = {"kind": "tick"}
        try:
            if self._receiver.poll():
                said = self._receiver.recv()
                if self._runs_our_code:
                    event = said
                    self._silent = self._measured.take(event) and not (event.get("waits") and self._go_on())
                else:
                    self._check_code(said)
            else:
                self._silent = not is_alive
        except (EOFError, OSError, pickle.UnpicklingError):
            self._silent = True  # it was killed, perhaps while sending a message
        except Refused as refusal:
            self._refusal, self._silent = refusal, True
        self._on_event(event)
        if self._interrupts.count > self._signals_told:
            self._signals_told = self._interrupts.count
            self._on_event({"kind": "stopping" if self._interrupts.stopping else "finishing"})
            if self._interrupts.stopping:
                self._limit.end_soon()
        if self._silent:
            self._limit.end_soon()

    def _check_code(self, first: Event) -> None:
        """Raises Refused, and ends the worker, if its first message does not show that it runs this tree's code."""
        wrong = imports.difference(first["places"]) if first["kind"] == "code" else "it does not say which it runs"
        if wrong:
            self._process.kill()
            raise Refused(imports.refusal(wrong), UsageError.exit_code)
        self._runs_our_code = True

    def _go_on(self) -> bool:
        """Give the waiting worker the next job or none; returns whether there is one."""
        self._add_what_was_seen()
        following = None if self._limit.passed else self._next_job(self._measured)
        if following is not None:
            self._job, self._measured = following, Measured()
            self._pauses = Pauses(self._process.pid, self._interrupts)
            self._limit = TimeLimit(self._limit.timeout_s)
            if self._interrupts.stopping:
                self._limit.end_soon()
        self._receiver.send(following)
        return following is not None

    def _judge(self) -> None:
        """The worker is dead or dying: determine what ended it, and release it."""
        measured, process = self._measured, self._process
        process.join()
        self._interrupts.ended(process)
        self._receiver.close()
        scratch.remove(self._scratch)
        self.over = True
        # If a library is interrupted by the request to end, it may raise some error.
        if measured.status in ("crashed", "interrupted", "failed"):
            if self._interrupts.stopping:
                measured.status, measured.reason = "interrupted", "stopped by the user"
            elif self._limit.passed:
                measured.status = "timeout"
                measured.reason = (
                    f"not done after timeout_s = {self._limit.timeout_s:g} seconds; its last phase was {measured.phase}"
                )
            elif measured.status == "crashed" and process.exitcode == -signal.SIGKILL and oom_kills() > self._oom_kills:
                measured.status, measured.reason = "oom", "the kernel killed the process: the host is out of memory"
            elif measured.status == "crashed":
                measured.reason = measured.reason or _exit_reason(process.exitcode)
        self._add_what_was_seen()

    def _add_what_was_seen(self) -> None:
        """Add facts that the worker itself does not report."""
        self._pauses.add_to(self._measured)
        if self._measured.status not in FINISHED:
            self._measured.log_tail = tail(self._job.log)


def execute(
    job: Job,
    on_event: Callable[[Event], None],
    start_method: str = "spawn",
    timeout_s: float | None = None,
    interrupts: Interrupts | None = None,
    next_job: NextJob = lambda _: None,
) -> Measured:
    """Run `job` in its own process and follow it to its end; see `Follower`.

    Without `interrupts`, the first Ctrl-C lets the worker finish its record. Raises `Refused` for an impossible recipe,
    or missing data or hardware.
    """
    if interrupts is None:
        with Interrupts() as interrupts:
            return execute(job, on_event, start_method, timeout_s, interrupts, next_job)
    follower = Follower(job, on_event, start_method, timeout_s, interrupts, next_job)
    return follow_to_end(follower, TICK_S)


def _harmless(on_event: Callable[[Event], None]) -> Callable[[Event], None]:
    """The callback until it fails: a display whose terminal has closed must not end the training."""
    failed = False

    def tell(event: Event) -> None:
        nonlocal failed
        if not failed:
            try:
                on_event(event)
            except (Exception, SystemExit):  # rich exits on a broken pipe
                failed = True

    return tell


def _work_while_watched(job: Job, pipe: Connection, folder: Path) -> None:
    """The worker's process: it works, and ends if its parent is gone.

    Its first message says whose code it runs. Temporary files are made below `folder`, which is removed after the run.
    """
    end_with_parent()
    pipe.send({"kind": "code", "places": imports.places()})
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    work(job, pipe)


def _exit_reason(code: int | None) -> str:
    if code is not None and code < 0:
        return f"the worker was killed by {signal.Signals(-code).name}"
    return f"the worker ended with exit code {code} and no word"


def tail(log: Path, lines: int = LOG_TAIL_LINES) -> list[str]:
    """The last lines of a log; empty if there is no log."""
    try:
        with open(log, encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=lines)]
    except OSError:
        return []
